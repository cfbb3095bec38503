// The legend: what the symbols mean that are in these films; a learner opens and shuts it.

const LEGEND = [
  ["first", "request (larger: more work)"],
  ["retry", "retry"],
  ["hedge", "hedge (a second copy)"],
  ["refresh", "the cache fetches anew"],
  ["ok", "answer"],
  ["failed", "failure"],
  ["timeout", "timeout"],
  ["denied", "denied by a limit"],
  ["refused", "refused: no room"],
  ["left", "client gave up"],
  ["cancelled", "cancelled copy"],
];

const OPEN_FROM = 700; // pixels of width from which it is open at first

function legendPlace(root, width) {
  const legend = element(root, "details", "lbt-legend");
  element(legend, "summary").textContent = "what the symbols mean";
  legend.open = !width || width >= OPEN_FROM; // 0: it is not on a page yet
  return element(legend, "div", "lbt-signs");
}

function showLegend(place, indexes, theme) {
  const found = shownSymbols(indexes);
  const colour = lifted(indexes[0].film.clients[0]?.colour ?? "#0000AC", theme);
  place.replaceChildren();
  for (const [name, text] of LEGEND.filter(([name]) => found.has(name)))
    sign(place, text, name === "denied" || name === "refused" ? 30 : 20, (pen, x) => drawDot(pen, x, 10, DOT, colour, name, theme));
  for (const [outcome, text] of shownProbes(indexes))
    sign(place, text, 20, (pen, x) => drawProbe(pen, x, 10, outcome, theme));
  const states = shownStates(indexes);
  for (const [state, text] of Object.entries(MEANINGS).filter(([state]) => states.has(state)))
    sign(place, text, state.endsWith("open") ? 26 : 20, (pen, x) => drawState(pen, x, state, theme));
}

// `draw` gets a pen and the middle of the sign.
function sign(place, text, width, draw) {
  const item = element(place, "span", "lbt-sign");
  const canvas = element(item, "canvas", "", { "aria-hidden": "true" });
  draw(sized(canvas, width, 24), width / 2);
  element(item, "span").textContent = text;
}

function drawState(pen, x, state, theme) {
  if (state.endsWith("open")) return breaker(pen, x, 12, state, theme);
  const { tone, mark } = STATES[state];
  pen.font = font(13, 700);
  pen.fillStyle = theme[tone];
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(mark, x, 11);
}

function shownProbes(indexes) {
  const faults = indexes.flatMap(({ probes }) => probes.fault ?? []);
  const all = [["", "health check on its way"], ["passed", "it passed"], ["failed", "it failed"]];
  return all.filter(([outcome]) => (outcome === "failed" ? faults.some(Boolean) : faults.length));
}

function shownStates(indexes) {
  const found = new Set();
  for (const { film } of indexes)
    for (const { kind, state } of film.states ?? []) if (kind !== "member") found.add(state.replaceAll("_", " "));
  return found;
}
