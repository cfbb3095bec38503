// The dashboard: lamps, small charts, and a line for what happened. It gets a frame at a time; what is on the
// screen is drawn anew from the last frames, one chart after the other, and nothing while it is out of sight.

const TICK = 200; // milliseconds between frames of a run that is played
const SAID = 5000; // milliseconds between descriptions for screen readers

function make(parent, tag, look, text = "") {
  const made = parent.appendChild(document.createElement(tag));
  made.className = look;
  made.textContent = text; // never HTML
  return made;
}

const sentence = ([, what, kind]) => `${what} ${kind}`.trim();

class Board {
  constructor(model, el, Plotly) {
    Object.assign(this, { model, el, Plotly, inSight: true, charts: [], gone: false });
    el.classList.add("lbkit-figure", "lbkit-dashboard");
    el.tabIndex = 0;
    el.setAttribute("role", "group");
    el.setAttribute("aria-label", "dashboard: space pauses, left and right go to other moments");
    el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are for cells
    const head = make(el, "div", "lbd-head");
    this.words = make(head, "strong", "lbd-words");
    this.time = make(head, "span", "lbd-time");
    this.button = make(head, "button", "lbd-play");
    this.button.type = "button";
    this.button.onclick = () => this.toggle();
    this.end = make(head, "button", "lbd-stop", "stop");
    this.end.type = "button";
    this.end.title = "follow the session no longer";
    this.end.onclick = () => model.send({ do: "stop" });
    this.lamps = make(el, "div", "lbd-lamps");
    this.grid = make(el, "div", "lbd-grid");
    this.log = make(el, "div", "lbd-log");
    this.untold = make(el, "p", "lbd-untold");
    this.spoken = make(el, "p", "lbd-spoken");
    this.spoken.setAttribute("aria-live", "polite");
    el.addEventListener("keydown", (event) => this.key(event));
    this.renew();
    this.begin();
  }

  renew() {
    const spec = (this.spec = JSON.parse(this.model.get("spec")));
    this.words.textContent = spec.words;
    this.untold.textContent = spec.untold ?? "";
    this.untold.hidden = !spec.untold;
    this.clock ??= new Clock(spec.window, spec.pace);
    const wanted = [
      ...spec.panels.map((panel, i) => ({ ...panel, figure: () => lines(panel, i, this.spec, this.clock) })),
      { title: "In flight", help: "Requests at each server.", figure: () => flights(this.spec, this.clock) },
      { title: "States", help: "Of servers, as the balancer sees them.", figure: () => states(this.spec, this.clock) },
    ];
    wanted.forEach((chart, i) => this.charts[i] ? Object.assign(this.charts[i], chart) : this.charts.push(this.chart(chart, i)));
    this.lamp ??= spec.rules.map(({ name }) => {
      const lamp = make(this.lamps, "span", "lbd-lamp");
      make(lamp, "span", "lbd-light").setAttribute("aria-hidden", "true");
      make(lamp, "span", "lbd-rule", name);
      return { lamp, word: make(lamp, "span", "lbd-state") };
    });
    if (this.clock.frame) this.show();
  }

  chart(chart, i) {
    const box = make(this.grid, "figure", "lbd-chart");
    const caption = make(box, "figcaption", "");
    make(caption, "span", "lbd-title", chart.title).title = chart.help;
    const legend = make(caption, "span", "lbd-legend");
    const place = make(box, "div", "lbd-plot");
    place.setAttribute("role", "img");
    const none = make(box, "div", "lbd-none");
    const made = { ...chart, legend, place, none };
    made.draw = () => this.draw(made, i);
    return made;
  }

  begin() {
    const past = JSON.parse(this.model.get("past"));
    if (past.frames) {
      if (this.spec.live) this.close(past);
      else this.clock.know(past.frames, past.notes);
      if (this.reduced) this.clock.shown = this.clock.last;
      this.show();
    } else this.model.send({ do: "catch up" });
    this.before = performance.now();
    this.timer = setInterval(() => this.tick(), TICK);
  }

  get reduced() {
    return !this.spec.live && matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  tick() {
    const now = performance.now();
    if (this.inSight && this.clock.pass((now - this.before) / 1000)) this.show();
    this.before = now;
  }

  told({ all, more, notes = [] }) {
    if (all) {
      if (!all.length) return;
      this.clock.know(all, notes);
    } else if (more) {
      this.clock.add(more, notes);
      for (const note of notes) this.speak(sentence(note));
    }
    this.show();
  }

  // The session is over: what is on the screen can be looked at, moment by moment.
  close(past) {
    this.clock.know(past.frames, past.notes);
    this.clock.rests = true;
    this.ended = past.over;
    this.show();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.clock.frame) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -25, PageDown: 25, Home: -1e9, End: 1e9 };
    if (event.key in steps) {
      this.clock.step(steps[event.key]);
      this.speak(this.description());
    } else if (event.key === " " && event.target === this.el) this.toggle();
    else return;
    event.preventDefault();
    this.show();
  }

  toggle() {
    if (!this.clock.frame) return;
    this.clock.toggle();
    this.show();
  }

  show() {
    const { clock, spec } = this;
    if (!clock.frame) return;
    const [at, , , , lamps] = clock.frame;
    const { rests, over, live } = clock;
    this.el.dataset.frames = clock.last + 1; // for tests, as what follows
    this.el.dataset.at = at;
    const how = this.ended || (rests ? "paused" : spec.pace > 1 ? `${worded(spec.pace, "seconds")} a second` : "");
    this.time.textContent = `${at.toFixed(1)} s${how && ", "}${how}`;
    this.button.textContent = over ? "again" : rests ? (live ? "go on" : "play") : "pause";
    this.button.hidden = Boolean(this.ended) || (!live && !spec.pace);
    this.end.hidden = !live || Boolean(this.ended);
    this.lamp.forEach(({ lamp, word }, i) => {
      const { summary, severity, asks } = spec.rules[i];
      const state = spec.lamps[lamps[i]];
      if (lamp.dataset.state === state) return;
      lamp.dataset.state = state;
      word.textContent = state;
      lamp.title = `${summary} (${severity})${state === "no data" ? `; it needs ${asks.join(", ")}` : ""}`;
    });
    const log = clock.noted.slice(-3).map((note) => `${note[AT].toFixed(1)} s ${sentence(note)}`);
    this.log.textContent = log.reverse().join("  ·  ") || "Nothing has happened yet.";
    this.count = (this.count ?? 0) + 1;
    if (this.inSight) this.charts.forEach((chart, i) => this.due(i) && enqueue(chart.draw, i));
    this.describe();
    clearTimeout(this.resting);
    if (this.ended || over || rests) this.resting = setTimeout(() => this.photograph().catch(console.error), 800);
  }

  // While frames come, heat maps are drawn at every other one: they cost the most, and change the least.
  due(i) {
    return i < this.spec.panels.length || this.clock.rests || this.clock.over || this.count % 2 === 0 || this.ended;
  }

  // -- charts -----------------------------------------------------------------------------------------

  async draw(chart, i) {
    if (this.gone || !chart.place.clientWidth || !this.clock.frame) return;
    const [data, layout] = chart.figure();
    if (!data.length) layout.yaxis = { ...layout.yaxis, visible: false };
    chart.none.hidden = data.length > 0;
    chart.none.textContent = this.spec.untold ? "not told" : "no data yet";
    this.legend(chart, i, data);
    const began = performance.now();
    await this.Plotly.react(chart.place, data, layout, config);
    this.cost = 0.9 * (this.cost ?? 0) + 0.1 * (performance.now() - began); // for the benchmark
    this.drawn = (this.drawn ?? 0) + 1;
  }

  legend(chart, i, data) {
    const { spec } = this;
    const parts =
      i < spec.panels.length
        ? data.map(({ name, line, y }) => [name, worded(y.at(-1), spec.panels[i].unit), line.color, line.dash])
        : i === spec.panels.length
          ? data.flatMap(({ zmax }) => [["darkest:", `${zmax} or more`, spec.heat.scale.at(-1)[1], "block"]])
          : data.flatMap(({ z }) =>
              spec.states.levels
                .map((name, at) => [name, "", spec.states.colours[at], "block"])
                .filter((_, at) => z.some((row) => row.includes(at))),
            );
    while (chart.legend.children.length > parts.length) chart.legend.lastChild.remove();
    parts.forEach(([name, value, colour, dash], at) => {
      const item = chart.legend.children[at] ?? make(chart.legend, "span", "lbd-item");
      const key = `${name} ${value} ${colour} ${dash}`;
      if (item.dataset.key === key) return;
      item.dataset.key = key;
      item.textContent = "";
      const swatch = make(item, "span", `lbd-swatch lbd-${dash}`);
      swatch.style.setProperty("--own", colour);
      make(item, "span", "", name);
      if (value) make(item, "b", "", value);
    });
  }

  // -- for those who do not see it, and for the saved notebook --------------------------------------------

  description() {
    const { spec, clock } = this;
    const [at, values, flights, levels, lamps] = clock.frame;
    const said = spec.panels.map(({ title, unit, lines }, i) => {
      const known = lines.map(({ name }, j) => [name, values[i]?.[j]]).filter(([, value]) => value);
      return `${title}: ${known.map(([name, value]) => `${name} ${worded(value, unit)}`).join(", ") || "none"}`;
    });
    const servers = spec.rows.map((name, i) => {
      const flight = told(flights[i]) ? `${flights[i]} in flight` : "in flight not told";
      return `${name} ${spec.states.levels[levels[i]] ?? ""} ${flight}`;
    });
    const firing = spec.rules.filter((_, i) => spec.lamps[lamps[i]] === "firing").map(({ name }) => name);
    return `At ${at.toFixed(1)} s. ${said.join(". ")}. ${servers.join(", ")}. Firing: ${firing.join(", ") || "nothing"}.`;
  }

  describe() {
    const now = performance.now();
    if (now - (this.described ?? -SAID) < SAID && !this.clock.rests) return;
    this.described = now;
    const text = this.description();
    for (const { place, title } of this.charts) place.setAttribute("aria-label", `${title}. ${text}`);
  }

  speak(text) {
    this.spoken.textContent = text;
  }

  async photograph() {
    const drawn = this.charts.filter(({ place }) => place.clientWidth && place.data);
    if (this.gone || !drawn.length) return;
    const bounds = this.grid.getBoundingClientRect();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bounds.width, bounds.height];
    const pen = canvas.getContext("2d");
    pen.fillStyle = ground();
    pen.fillRect(0, 0, canvas.width, canvas.height);
    for (const { place } of drawn) {
      const { left, top, width, height } = place.getBoundingClientRect();
      const image = new Image();
      image.src = await pictureOf(this.Plotly, place, { format: "png", width, height });
      await image.decode();
      pen.drawImage(image, left - bounds.left, top - bounds.top);
    }
    this.model.send({ still: canvas.toDataURL("image/webp"), width: Math.round(bounds.width), words: this.description() });
  }

  off() {
    this.gone = true;
    clearInterval(this.timer);
    clearTimeout(this.resting);
    for (const { draw, place } of this.charts) {
      waiting.delete(draw);
      this.Plotly.purge(place);
    }
  }
}

async function render({ model, el }) {
  const board = new Board(model, el, await plotly(model));
  el.board = board; // for tests
  const told = (message) => board.told(message);
  const renew = () => board.renew();
  const past = () => board.spec.live && board.close(JSON.parse(model.get("past")));
  model.on("msg:custom", told);
  model.on("change:spec", renew);
  model.on("change:past", past);
  const sized = new ResizeObserver(() => board.show());
  sized.observe(el);
  const seen = new IntersectionObserver(([entry]) => {
    board.inSight = entry.isIntersecting;
    if (board.inSight) board.show();
  });
  seen.observe(el);
  return () => {
    board.off();
    sized.disconnect();
    seen.disconnect();
    model.off("msg:custom", told);
    model.off("change:spec", renew);
    model.off("change:past", past);
  };
}

export default { render };
