// The panels: fetches /data.json as often as Prometheus scrapes, and draws each line of it as a curve.
//
// All text goes into the page through `textContent`, so a backend may be named <script>. A backend has one
// colour and one kind of dashes in all panels; so has a class of answers.

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [420, 150, 52, 18, 6, 8];
const KINDS = 7; // of curves: classes k0 to k6
const CLASSES = { "2xx": "good", "3xx": "k0", "4xx": "warn", "5xx": "down", "1xx": "faint", none: "faint" };
const SELDOM = ["1xx", "3xx", "none"];
const $ = (id) => document.getElementById(id);

let data = null;
let pointed = null; // the time that the pointer is at, in any panel
const kinds = new Map(); // backend -> class of its curves

// -- building blocks ------------------------------------------------------------------------------

function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

function drawing(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function kindOf(line, i) {
  const { name, backend } = line;
  if (name in CLASSES) return CLASSES[name];
  if (!backend) return `k${i % KINDS}`;
  if (!kinds.has(backend)) kinds.set(backend, `k${kinds.size % KINDS}`);
  return kinds.get(backend);
}

// Classes of answers, and requests without a backend, that there never were say nothing.
const tells = ({ name, points }) => !SELDOM.includes(name) || points.some(([, value]) => value);

// -- numbers and times as people read them ----------------------------------------------------------

const plain = (value) => (value === 0 ? "0" : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let i = 0;
  while (value >= 1000 && i < units.length - 1) {
    value /= 1000;
    i += 1;
  }
  return `${plain(value)} ${units[i]}`;
}

const UNITS = {
  "per second": (value) => `${plain(value)}/s`,
  seconds: (value) => (value >= 1 || value === 0 ? `${plain(value)} s` : `${plain(1000 * value)} ms`),
  share: (value) => `${plain(100 * value)} %`,
  bytes,
  "bytes per second": (value) => `${bytes(value)}/s`,
  count: plain,
};

const clock = (seconds, full = true) =>
  new Date(1000 * seconds).toLocaleTimeString("en-GB", full ? {} : { hour: "2-digit", minute: "2-digit" });

// The least 1, 2 or 5 times a power of ten of which three or four reach the top.
function tick(top) {
  const rough = top / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

// -- a panel ------------------------------------------------------------------------------------------

function chart(panel) {
  const { start, end, step, notices } = data;
  const shown = UNITS[panel.unit] ?? plain;
  const most = Math.max(1e-9, ...panel.lines.flatMap((line) => line.points.map(([, value]) => value)));
  const grid = tick(panel.unit === "share" && most < 1e-6 ? 0.1 : most > 1e-6 ? most : 1);
  const top = grid * Math.max(1, Math.ceil(most / grid));
  const x = (time) => LEFT + ((WIDTH - LEFT - RIGHT) * (time - start)) / (end - start);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * value) / top;
  const svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": panel.title });
  for (let value = 0; value <= top * 1.001; value += grid) {
    svg.append(drawing("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(drawing("text", { x: LEFT - 5, y: y(value) + 3, "text-anchor": "end" }, shown(value)));
  }
  for (const part of [0, 1 / 3, 2 / 3, 1]) {
    const time = start + part * (end - start);
    const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
    svg.append(drawing("text", { x: x(time), y: HEIGHT - 4, "text-anchor": anchor }, clock(time)));
  }
  for (const notice of notices) {
    const at = notice.firing ? notice.since : notice.until;
    if (at < start) continue;
    const mark = { x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM, class: notice.firing ? "mark" : "mark end" };
    const line = drawing("line", mark);
    line.append(drawing("title", {}, `${notice.name} ${notice.firing ? "fires" : "has ended"}`));
    svg.append(line);
  }
  for (const [i, line] of panel.lines.entries()) {
    for (const points of unbroken(line.points, 1.5 * step)) {
      const path = points.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
      svg.append(drawing("polyline", { points: path, class: `curve ${kindOf(line, i)}` }));
    }
  }
  const cross = drawing("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cross", visibility: "hidden" });
  svg.append(cross);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const part = ((event.clientX - box.left) / box.width) * WIDTH;
    point(start + ((end - start) * (part - LEFT)) / (WIDTH - LEFT - RIGHT));
  });
  svg.addEventListener("pointerleave", () => point(null));
  const aim = (time) => {
    cross.setAttribute("visibility", time === null ? "hidden" : "visible");
    if (time !== null) for (const side of ["x1", "x2"]) cross.setAttribute(side, x(time));
  };
  return { svg, aim, shown };
}

// Where there was no value, as when a server or the proxy is gone, there is a gap.
function unbroken(points, gap) {
  const parts = [];
  for (const point of points) {
    const last = parts.at(-1);
    if (last && point[0] - last.at(-1)[0] <= gap) last.push(point);
    else parts.push([point]);
  }
  return parts;
}

function valueAt(points, time, gap) {
  const near = points.reduce((best, one) => (Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best), [-Infinity]);
  return Math.abs(near[0] - time) <= gap ? near[1] : null;
}

function legend(panel, shown) {
  const items = panel.lines.map((line, i) => {
    const sign = drawing("svg", { viewBox: "0 0 24 8" });
    sign.append(drawing("line", { x1: 0, x2: 24, y1: 4, y2: 4, class: `curve ${kindOf(line, i)}` }));
    const value = element("b");
    return { line, value, item: element("li", {}, sign, line.name, value) };
  });
  const read = (time) => {
    for (const { line, value } of items) {
      const found = valueAt(line.points, time ?? data.end, 1.5 * data.step);
      value.textContent = found === null ? "–" : shown(found);
    }
  };
  const list = items.length ? items.map(({ item }) => item) : [element("li", { className: "none" }, "no data")];
  return { list: element("ul", { className: "legend" }, ...list), read };
}

let followers = []; // what changes when the pointer moves, in all panels

function point(time) {
  pointed = time === null || time < data.start || time > data.end ? null : time;
  for (const follow of followers) follow(pointed);
}

function show(panel) {
  const { svg, aim, shown } = chart(panel);
  const { list, read } = legend(panel, shown);
  followers.push(aim, read);
  const title = element("h3", {}, panel.title);
  return element("article", { className: "panel" }, title, element("p", {}, panel.help), svg, list);
}

// -- the whole page -----------------------------------------------------------------------------------

function lamp(rule) {
  const words = { inactive: "quiet", pending: "pending", firing: "FIRING" };
  return element("li", { className: rule.state, title: rule.summary }, rule.name, element("small", {}, words[rule.state]));
}

function told(notice) {
  const about = Object.entries(notice.labels).map(([name, value]) => ` ${name}=${value}`).join("");
  const what = notice.firing ? "FIRING" : "ended";
  return element(
    "li",
    {},
    `${clock(notice.received)} `,
    element("span", { className: notice.firing ? "fires" : "" }, what),
    ` ${notice.name}${about}: ${notice.summary}`,
  );
}

function draw() {
  const { admin, every, panels, prometheus, rules, notices } = data;
  const scraped = `proxy on ${admin}, scraped every ${plain(every)} s; `;
  $("about").replaceChildren(scraped, element("a", { href: prometheus, target: "_blank", rel: "noopener" }, "Prometheus"));
  $("lamps").replaceChildren(...rules.map(lamp));
  const news = [...notices].reverse().map(told);
  $("notices").replaceChildren(...(news.length ? news : [element("li", { className: "none" }, "nothing so far")]));
  const firing = rules.filter((rule) => rule.state === "firing").length;
  document.title = firing ? `(${firing}) lbkit monitor` : "lbkit monitor";
  followers = [];
  const groups = [...new Set(panels.map((panel) => panel.group))];
  $("groups").replaceChildren(
    ...groups.map((group) => {
      const own = panels.filter((panel) => panel.group === group);
      const made = element("div", { className: "panels" }, ...own.map(show));
      return element("section", { ariaLabel: group }, element("h2", {}, group), made);
    }),
  );
  point(pointed);
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

async function refresh() {
  try {
    const answer = await fetch(`/data.json?minutes=${$("minutes").value}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    data = found;
    for (const panel of data.panels) panel.lines = panel.lines.filter(tells);
    draw();
    notice("");
  } catch (error) {
    notice(`The figures are old: ${error.message}`);
  }
}

$("minutes").addEventListener("change", refresh);

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, data ? Math.max(1000, 1000 * data.every) : 1000);
}
loop();
