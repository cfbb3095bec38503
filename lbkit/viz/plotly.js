// What plotly figures of a page share: its script, which comes from the kernel once a page, whatever their
// number, and a queue, as they are drawn one after the other. Put in front of the modules that draw.

// Each widget has a copy of this module: what they share is the page's.
const shared = (globalThis.__lbkit ??= {
  scripts: new Map(), // plotly's version -> promise of plotly
  waiting: new Map(), // what is to be done -> its rank
  working: false,
});
const { scripts, waiting } = shared;

async function plotly(model) {
  const version = model.get("version");
  if (!scripts.has(version)) scripts.set(version, load(model));
  return scripts.get(version);
}

const other = (model, name) => model.widget_manager.get_model(model.get(name).replace("IPY_MODEL_", ""));

async function load(model) {
  const script = await other(model, "script");
  const module = { exports: {} };
  // Handed a `module`, it exports itself and leaves alone what else is on the page.
  new Function("module", "exports", script.get("source"))(module, module.exports);
  return module.exports;
}

const config = { displayModeBar: false }; // it would cover the title
const LAST = 1000; // the rank of what can wait
const BUSY = 24; // milliseconds of drawing, after which the browser paints before the next figure is begun

// The page's own colour `name` where it says one, as JupyterLab does.
const pageColour = (name, otherwise) =>
  getComputedStyle(document.body).getPropertyValue(`--jp-${name}`).trim() || otherwise;

// A picture of a figure for the saved notebook, with the page's ground, and its ink for letters that are grey for
// plotly: the page gives them its ink by CSS, which a picture does not have.
function pictureOf(Plotly, place, options) {
  const { data, layout } = place;
  const ink = pageColour("content-font-color1", "#59606a");
  const inked = (part, name = "") => {
    if (Array.isArray(part)) return part.map((one) => inked(one, name));
    if (part?.constructor !== Object) return part;
    const entries = Object.entries(part).map(([key, value]) => [key, inked(value, key)]);
    const grey = name.endsWith("font") && layout.font && part.color === layout.font.color;
    return { ...Object.fromEntries(entries), ...(grey && { color: ink }) };
  };
  return Plotly.toImage({ data: inked(data), layout: { ...inked(layout), paper_bgcolor: ground() } }, options);
}

const ground = () => pageColour("layout-color0", "white");

// The browser paints, and a slider moves. A hidden page is never painted.
const painted = () =>
  new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done));
    setTimeout(done, 100);
  });

async function enqueue(work, rank) {
  waiting.set(work, rank);
  if (shared.working) return;
  shared.working = true;
  while (waiting.size) {
    const end = performance.now() + BUSY;
    do {
      const [next] = [...waiting].reduce((a, b) => (b[1] < a[1] ? b : a));
      waiting.delete(next);
      await next().catch(console.error);
    } while (waiting.size && Math.min(...waiting.values()) < LAST && performance.now() < end);
    await painted();
  }
  shared.working = false;
}

