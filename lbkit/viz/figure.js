// One plotly figure. The script of plotly comes from the kernel, once a page, whatever the number of
// figures. What a panel's figures show is in one feed, so that all of them are one message. They are drawn one
// after the other, the first of a panel first, and those out of sight when they are seen, or now and then.

const REST = 800; // milliseconds between redraws out of sight, and without one until a picture is taken

async function render({ model, el }) {
  el.classList.add("lbkit-figure");
  el.style.contain = "content"; // to measure its texts, the browser lays out no more than the figure
  const place = el.appendChild(document.createElement("div"));
  place.setAttribute("role", "img"); // its letters, read one by one, say nothing
  place.setAttribute("aria-label", "a figure that is being drawn");
  const [Plotly, feed] = await Promise.all([plotly(model), other(model, "feed")]);
  const rank = Number(model.get("place"));
  const newest = () => feed.get("specs")[model.get("place")] ?? [0]; // it may be on its way
  let drawn = 0; // number of the figure on the screen
  let inSight = true;
  let resting = 0;
  let later = 0;

  async function photograph() {
    await draw();
    labelControls(el); // those that came after the figure, too
    if (!place.clientWidth || !place.clientHeight) return; // not on the screen
    const size = { width: Math.min(place.clientWidth, 1000), height: place.clientHeight };
    const still = await pictureOf(Plotly, place, { format: "webp", ...size });
    model.send({ still, width: size.width, words: place.getAttribute("aria-label") });
  }

  async function draw() {
    const [number, spec, words] = newest(); // of several in a row the last is drawn
    if (number === drawn) return;
    drawn = number;
    const { data, layout } = JSON.parse(spec);
    await Plotly.react(place, data, layout, config);
    place.setAttribute("aria-label", words || "nothing is drawn yet");
    labelControls(el);
    el.dataset.drawn = number; // for tests: which one is on the screen
  }

  function catchUp() {
    later = 0;
    enqueue(draw, LAST);
  }

  function changed() {
    if (newest()[0] === drawn) return; // the news are another figure's
    if (inSight) enqueue(draw, rank);
    else later ||= setTimeout(catchUp, REST);
    clearTimeout(resting);
    resting = setTimeout(() => enqueue(photograph, LAST), REST);
  }

  feed.on("change:specs", changed);
  await draw();
  changed();
  resting ||= setTimeout(() => enqueue(photograph, LAST), REST);
  // Also the first one: a widget has no width before it is on the page.
  const sized = new ResizeObserver(() => place.clientWidth && Plotly.Plots.resize(place));
  sized.observe(el);
  const seen = new IntersectionObserver(([entry]) => {
    inSight = entry.isIntersecting;
    if (inSight) changed();
  });
  seen.observe(el);
  return () => {
    sized.disconnect();
    seen.disconnect();
    clearTimeout(resting);
    clearTimeout(later);
    waiting.delete(draw);
    waiting.delete(photograph);
    feed.off("change:specs", changed);
    Plotly.purge(place);
  };
}

export default { render };
