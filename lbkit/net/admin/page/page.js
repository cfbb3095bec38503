// The status page: fetches /api/status every two seconds, and brings the tables up to date.
//
// All text goes into the page through `textContent`, so a backend may be named <script>. The token stays in
// the input field: it is sent with changes only, and kept nowhere else.

const EVERY = 2000; // milliseconds
const STATES = {
  up: "up: gets requests",
  down: "down: by checks or by the outcomes of its requests",
  blocked: "blocked: its breaker is open, or it is full",
  draining: "draining: finishes what is in flight",
  drained: "drained: nothing in flight",
  stopped: "stopped by the operator",
  "no weight": "no weight: gets no traffic",
};
const $ = (id) => document.getElementById(id);

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

function drawing(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Requests a second as an area, and errors as bars that stand on the same line. Oldest first.
function sparkline({ requests, errors }, slots = 150) {
  const top = Math.max(1e-9, ...requests);
  const x = (i) => (100 * (slots - requests.length + i)) / slots;
  const y = (value) => 30 - (28 * Math.min(value, top)) / top;
  const svg = drawing("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", class: "spark", role: "img" });
  const last = requests.length ? requests[requests.length - 1] : 0;
  svg.setAttribute("aria-label", `${rate(last)} requests a second now, at most ${rate(Math.max(0, ...requests))}`);
  svg.append(drawing("line", { x1: 0, x2: 100, y1: 30, y2: 30, class: "base" }));
  if (requests.length > 1) {
    const points = requests.map((value, i) => `${x(i)},${y(value)}`).join(" ");
    svg.append(drawing("polygon", { points: `${x(0)},30 ${points} ${x(requests.length - 1)},30`, class: "area" }));
    svg.append(drawing("polyline", { points, class: "line" }));
    errors.forEach((value, i) => {
      if (value > 0) {
        const height = Math.max(2, 30 - y(value));
        svg.append(drawing("rect", { x: x(i) - 0.4, y: 30 - height, width: 0.8, height, class: "bad" }));
      }
    });
  }
  return svg;
}

// -- numbers and times as people read them ----------------------------------------------------------

const whole = (value) => value.toLocaleString("en");
const rate = (value) => (value >= 100 ? whole(Math.round(value)) : value.toFixed(value >= 10 ? 0 : 1));

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (value >= 1000 && i < units.length - 1) {
    value /= 1000;
    i += 1;
  }
  return `${i ? value.toPrecision(3) : value} ${units[i]}`;
}

function latency(seconds) {
  if (seconds === null) return "–";
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  const ms = seconds * 1000;
  return `${ms >= 10 ? Math.round(ms) : ms.toPrecision(2)} ms`;
}

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// -- a backend's row ----------------------------------------------------------------------------------

// Title, class of the column, class of the head, and what it is in more words.
const COLUMNS = [
  ["Backend", "name", "left"],
  ["State", "state", "left"],
  ["Weight", "number"],
  ["In flight", "number"],
  ["Requests", "number"],
  ["Last five minutes", "spark", "left", "Requests a second; red: errors"],
  ["Per second", "number", "", "Requests a second, over the last minute"],
  ["Errors", "number", "", "Answers with 5xx, and answers that were cut off"],
  ["p50", "number", "", "Half of the successes of the last minute took no longer"],
  ["p99", "number", "", "99 % of the successes of the last minute took no longer"],
  ["Check, breaker", "signs", "left"],
  ["Last change", "change", "left"],
  ["Change it", "actions"],
];

function count(value, wrong = false, title = "") {
  return element("td", { className: value ? (wrong ? "wrong" : "") : "zero", title }, whole(value));
}

function kinds(counts) {
  return Object.entries(counts).map(([kind, many]) => `${kind}: ${whole(many)}`).join("\n");
}

function stateOf(backend) {
  const seen = Object.entries(backend.states);
  const split = seen.length > 1 ? seen.map(([state, many]) => `${many} ${state}`).join(", ") : "";
  const left = backend.state === "draining" && backend.drain_left !== null ? `${duration(backend.drain_left)} left` : "";
  const by = backend.held_by.length ? `by ${backend.held_by.join(", ")}` : "";
  const more = [split, left, by].filter(Boolean).join("; ");
  return element(
    "td",
    { className: "left" },
    element("span", { className: `state ${backend.state}`, title: STATES[backend.state] }, backend.state),
    more && element("small", {}, more),
  );
}

function changeOf(backend, now) {
  const change = backend.change;
  if (!change) return element("td", { className: "left zero" }, "none");
  const why = [change.kind, change.why].filter(Boolean).join(": ");
  return element(
    "td",
    { className: "left why", title: `${why}\n${new Date(change.at * 1000).toLocaleString()}` },
    `${change.before} → ${change.after}`,
    element("small", {}, `${duration(now - change.at)} ago, ${why}`),
  );
}

function actions(backend) {
  const button = (text, intent, title) =>
    element("button", {
      type: "button",
      textContent: text,
      title,
      disabled: backend.intent === intent,
      ariaLabel: `${text} ${backend.name}`,
      onclick: () => change("PATCH", `/api/backends/${encodeURIComponent(backend.name)}`, { intent }),
    });
  const made = [
    button("Ready", "ready", "Back into the rotation"),
    button("Drain", "drain", "No new requests; those in flight finish"),
  ];
  if (backend.breaker && backend.breaker !== "closed") {
    made.push(
      element("button", {
        type: "button",
        textContent: "Reset breaker",
        ariaLabel: `Reset the breaker of ${backend.name}`,
        onclick: () =>
          change("PUT", `/api/backends/${encodeURIComponent(backend.name)}/breaker`, { state: "closed" }),
      }),
    );
  }
  return element("td", {}, element("div", { className: "actions" }, ...made));
}

function row(backend, status) {
  const { counts, recent } = backend;
  const errors = Object.keys(counts.failed_attempts).length
    ? `${kinds(counts.errors_by_kind)}\nfailed attempts:\n${kinds(counts.failed_attempts)}`
    : kinds(counts.errors_by_kind);
  const signs = [backend.check && `check ${backend.check}`, backend.breaker && `breaker ${backend.breaker}`];
  return element(
    "tr",
    { className: status.now - (backend.change?.at ?? 0) < 3 ? "changed" : "" },
    element(
      "th",
      { scope: "row", className: "left", title: backend.name },
      backend.name,
      backend.address === backend.name ? "" : element("small", {}, backend.address),
    ),
    stateOf(backend),
    element("td", {}, backend.weight.toLocaleString("en")),
    count(backend.in_flight),
    count(counts.requests, false, `${whole(counts.attempts)} attempts, ${bytes(counts.bytes)}`),
    element("td", { className: "left" }, sparkline(status.series[backend.name])),
    element("td", { className: recent.requests_per_second ? "" : "zero" }, rate(recent.requests_per_second)),
    count(counts.errors, true, errors),
    element("td", {}, latency(recent.latency.p50)),
    element("td", {}, latency(recent.latency.p99)),
    element("td", { className: "left" }, ...lines(signs.filter(Boolean))),
    changeOf(backend, status.now),
    actions(backend),
  );
}

function lines(texts) {
  if (!texts.length) return [element("span", { className: "zero" }, "none")];
  return texts.map((text, i) => (i ? element("small", {}, text) : text));
}

// -- the whole page ---------------------------------------------------------------------------------

function poolTable(pool, status) {
  const rows = status.backends.filter((backend) => pool.backends.includes(backend.name));
  const ready = rows.filter((backend) => backend.gets_requests).length;
  const columns = COLUMNS.map(([, className]) => element("col", { className: `c-${className}` }));
  const head = COLUMNS.map(([text, , side, title]) =>
    element("th", { scope: "col", className: side ?? "", title: title ?? "" }, text),
  );
  return element(
    "section",
    { className: "pool", tabIndex: 0, ariaLabel: `Pool ${pool.name}` }, // so that the keyboard can scroll it
    element(
      "h2",
      {},
      `Pool ${pool.name}`,
      element("small", {}, `${ready} of ${rows.length} get requests; ${pool.algorithm}`),
    ),
    element(
      "table",
      { className: "backends" },
      element("colgroup", {}, ...columns),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...rows.map((backend) => row(backend, status))),
    ),
  );
}

function total(title, value, small = "", wrong = false) {
  return element(
    "div",
    {},
    element("dt", {}, title),
    element("dd", { className: wrong ? "wrong" : "" }, value, small && element("small", {}, ` ${small}`)),
  );
}

function totals({ stats, series }) {
  const { totals: all, recent } = stats;
  const share = all.requests ? `${((100 * all.errors) / all.requests).toPrecision(2)} %` : "";
  const chart = element("div", { className: "wide" }, element("dt", {}, "Last five minutes"));
  chart.append(element("dd", {}, sparkline(series[""])));
  return [
    chart,
    total("Requests per second", rate(recent.requests_per_second)),
    total("Requests", whole(all.requests)),
    total("Errors", whole(all.errors), all.errors ? share : "", all.errors > 0),
    total("Retries", whole(all.retries)),
    total("Latency p50", latency(recent.latency.p50)),
    total("Latency p99", latency(recent.latency.p99)),
    total("In flight", whole(stats.in_flight)),
    total("Clients", whole(stats.clients)),
  ];
}

function plainTable(titles, rows) {
  const cells = (row, name) => row.map((text, i) => element(name, { className: i ? "" : "left" }, text));
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...cells(titles, "th"))),
    element("tbody", {}, ...rows.map((one) => element("tr", {}, ...cells(one, "td")))),
  );
}

function show(status) {
  const { reloads, stats } = status;
  const failed = reloads.failed ? "; the last reload FAILED, see below" : "";
  $("about").textContent =
    `${status.version} on ${status.listen}, up ${duration(status.now - status.started)}, ` +
    `${reloads.count} reload${reloads.count === 1 ? "" : "s"}${failed}`;
  keepFocus(() => {
    $("totals").replaceChildren(...totals(status));
    $("pools").replaceChildren(
      ...(status.pools.length
        ? status.pools.map((pool) => poolTable(pool, status))
        : [element("section", { className: "pool" }, element("p", {}, "No worker answers."))]),
    );
  });
  $("reload").disabled = reloads.waiting;
  $("workers").replaceChildren(
    plainTable(
      ["Process", "State", "Generation", "Clients", "Requests"],
      status.workers.map((one) => [
        String(one.pid), one.state, String(one.generation),
        one.clients === null ? "–" : whole(one.clients), one.requests === null ? "–" : whole(one.requests),
      ]),
    ),
  );
  const all = { ...stats.decisions, answered_without_a_backend: stats.without_backend.requests };
  for (const [filter, figures] of Object.entries(stats.filters)) {
    for (const [what, many] of Object.entries(figures)) all[`${filter}: ${what}`] = many;
  }
  const decided = Object.entries(all).filter(([, many]) => many);
  $("decisions").replaceChildren(
    decided.length
      ? plainTable(["What", "How often"], decided.map(([what, many]) => [what.replaceAll("_", " "), whole(many)]))
      : element("p", { className: "zero" }, "none so far"),
  );
  const faults = (reloads.failed?.faults ?? []).map((fault) => `not reloaded: ${fault.message}`).concat(stats.faults);
  $("faults").replaceChildren(
    faults.length
      ? element("ul", {}, ...faults.map((text) => element("li", {}, text)))
      : element("p", { className: "zero" }, "none so far"),
  );
  document.title = title(status);
}

function title(status) {
  const out = status.backends.filter((backend) => !backend.gets_requests).length;
  return out ? `(${out} out) lbkit proxy` : "lbkit proxy";
}

// A row that is drawn anew must not take the keyboard's place away.
function keepFocus(draw) {
  const label = document.activeElement?.ariaLabel;
  draw();
  if (label) [...document.querySelectorAll("button, section")].find((one) => one.ariaLabel === label)?.focus();
}

function notice(text, bad = false) {
  $("notice").textContent = text;
  $("notice").className = bad ? "bad" : "";
  $("notice").hidden = !text;
}

// -- talking to the proxy ------------------------------------------------------------------------------

let reachable = true;

async function refresh() {
  try {
    const answer = await fetch("/api/status");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
    if (!reachable) notice("");
    reachable = true;
  } catch (error) {
    if (reachable) notice(`No answer from the proxy (${error.message}); the figures are old.`, true);
    reachable = false;
  }
}

async function change(method, path, body) {
  const token = $("token").value.trim();
  if (!token) {
    $("token").focus();
    notice("A change needs the token: type it in above.", true);
    return;
  }
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  try {
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const data = await answer.json();
    const faults = (data.faults ?? []).map((fault) => fault.message).filter((text) => text !== data.error);
    notice(answer.ok ? "Done." : [data.error, ...faults].join("\n"), !answer.ok);
  } catch (error) {
    notice(`The change may not have been made: ${error.message}`, true);
  }
  await refresh();
}

$("access").addEventListener("submit", (event) => event.preventDefault());
$("reload").addEventListener("click", () => change("POST", "/api/reload"));
$("legend").replaceChildren(
  ...Object.entries(STATES).map(([state, text]) => element("span", { className: `state ${state}` }, text)),
);

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, EVERY);
}
loop();
