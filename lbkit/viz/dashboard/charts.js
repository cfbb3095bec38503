// The figures of the dashboard, for plotly: lines of a panel, and heat maps with a row for each server.

const UNITS = { "per second": "/s", share: "", seconds: "", count: "", bytes: "B", "bytes per second": "B/s" };

function worded(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return `${(100 * value).toPrecision(3)} %`;
  if (unit === "seconds") {
    const [size, word] = value < 1e-3 ? [1e6, "µs"] : value < 1 ? [1e3, "ms"] : [1, "s"];
    return `${Number((value * size).toPrecision(3))} ${word}`;
  }
  return `${Number(value.toPrecision(3))}${UNITS[unit]}`;
}

// Time, and marks at what was done (grey, dotted) and at alerts (red). `words`: true has alerts and their names,
// false the names of what was done, undefined none; what is close to each other has one label.
function overTime(base, spec, clock, words) {
  const until = Math.max(clock.frame[AT], clock.window);
  const marks = clock.noted.filter(([, , kind]) => !kind || (words && kind === "fires"));
  const named = marks.filter(([, , kind]) => Boolean(kind) === words);
  const shapes = marks.map(([at, , kind]) => ({
    type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper",
    line: { color: kind ? spec.failed : spec.ink, width: 1, dash: kind ? "solid" : "dot" },
  }));
  const labels = [];
  for (const [x, text] of named) {
    if (labels.length && x - labels.at(-1).x < clock.window / 30) labels.at(-1).text += `; ${text}`;
    else labels.push({ x, text });
  }
  const beside = { y: 1, yref: "paper", yanchor: "top", xanchor: "left", textangle: -90, showarrow: false, font: { size: 10, color: spec.ink } };
  const annotations = labels.slice(-8).map(({ x, text }) => ({ ...beside, x, text: text.length > 24 ? `${text.slice(0, 23)}…` : text }));
  const xaxis = { ...base.xaxis, range: [until - clock.window, until] };
  return { ...base, xaxis, shapes, annotations };
}

function lines(panel, number, spec, clock) {
  const seen = clock.seen;
  const x = seen.map((frame) => frame[AT]);
  const data = panel.lines.map(({ name, ...line }, i) => {
    const y = seen.map((frame) => frame[VALUES][number]?.[i] ?? null);
    return { type: "scatter", mode: "lines", name, x, y, line, hovertemplate: `${name}: %{y:.3~g}<extra></extra>` };
  });
  return [data.filter((trace) => trace.y.some(Boolean)), overTime(panel.layout, spec, clock, number === 1)];
}

function heat(column, look, spec, clock) {
  const seen = clock.seen;
  const rows = spec.rows.map((_, i) => i).filter((i) => seen.some((frame) => told(frame[column][i])));
  const z = rows.map((i) => seen.map((frame) => (told(frame[column][i]) ? frame[column][i] : null)));
  const trace = {
    type: "heatmap", x: seen.map((frame) => frame[AT]), y: rows.map((i) => spec.rows[i]), z,
    ygap: 2, showscale: false, hovertemplate: "%{y}: %{z}<extra></extra>", ...look,
  };
  return [rows.length && seen.length > 1 ? [trace] : [], overTime(spec.heat.layout, spec, clock)];
}

const told = (value) => value !== null && value !== undefined && value >= 0;

function flights(spec, clock) {
  // The darkest is what all but one in fifty cells stay below: one burst would leave all else pale.
  const all = clock.seen.flatMap((frame) => frame[FLIGHTS].filter(told)).sort((a, b) => a - b);
  const most = Math.max(1, all[Math.floor(0.98 * all.length)] ?? 1);
  return heat(FLIGHTS, { colorscale: spec.heat.scale, zmin: 0, zmax: most }, spec, clock);
}

function states(spec, clock) {
  const { levels, colours } = spec.states;
  const n = levels.length;
  const colorscale = colours.flatMap((colour, i) => [[i / n, colour], [(i + 1) / n, colour]]);
  return heat(LEVELS, { colorscale, zmin: -0.5, zmax: n - 0.5, hovertemplate: "%{y}<extra></extra>" }, spec, clock);
}
