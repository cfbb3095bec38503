// One plotly figure. The script of plotly comes from the kernel, once a page, whatever the number of
// figures; each redraw is one message, of which plotly draws the difference.

const pages = (globalThis.__lbkit ??= new Map()); // plotly's version -> promise of plotly

async function plotly(model) {
  const version = model.get("version");
  if (!pages.has(version)) pages.set(version, load(model));
  return pages.get(version);
}

async function load(model) {
  const script = await model.widget_manager.get_model(model.get("script").replace("IPY_MODEL_", ""));
  const module = { exports: {} };
  // Handed a `module`, it exports itself and leaves alone what else is on the page.
  new Function("module", "exports", script.get("source"))(module, module.exports);
  return module.exports;
}

const config = { displayModeBar: false }; // it would cover the title
const REST = 800; // milliseconds without a redraw until a picture is taken, for the saved notebook

async function render({ model, el }) {
  el.classList.add("lbkit-figure");
  el.style.overflow = "hidden";
  const place = el.appendChild(document.createElement("div"));
  const Plotly = await plotly(model);
  let drawing = false;
  let newer = true;
  let resting = 0;

  async function photograph() {
    if (!place.clientWidth) return; // not on the screen
    const size = { width: Math.min(place.clientWidth, 1000), height: place.clientHeight };
    const still = await Plotly.toImage(place, { format: "webp", ...size });
    model.send({ still, width: size.width });
  }

  async function draw() {
    newer = true;
    if (drawing) return; // it will look again: of several figures in a row the last is drawn
    drawing = true;
    while (newer) {
      newer = false;
      const { data, layout } = JSON.parse(model.get("spec"));
      await Plotly.react(place, data, layout, config);
      el.dataset.drawn = model.get("number"); // for tests: which one is on the screen
    }
    drawing = false;
    clearTimeout(resting);
    resting = setTimeout(photograph, REST);
  }

  model.on("change:number", draw);
  await draw();
  // Also the first one: a widget has no width before it is on the page.
  const sized = new ResizeObserver(() => place.clientWidth && Plotly.Plots.resize(place));
  sized.observe(el);
  return () => {
    sized.disconnect();
    clearTimeout(resting);
    model.off("change:number", draw);
    Plotly.purge(place);
  };
}

export default { render };
