// Knobs on a server's lower edge: drag up or down, or press arrows, and its speed or weight is another from now
// on. While one drags, Python computes the future now and then; on release, for certain.

const SETTLED = 150; // milliseconds without a move until the future is computed
const DOUBLING = 48; // pixels of a drag that double a speed
const NOTCH = 12; // pixels of a drag that add one to a weight
const ROOMY = 56; // pixels of height from which a server has room for knobs; lower ones have their menu

const digits = (value) => +value.toPrecision(2);

// now: the value at this moment; drag: the value after a drag over `pixels`; step: the next one up or down
const KNOBS = {
  speed: {
    text: (value, small) => `${small ? "×" : "speed "}${brief(value)}`,
    least: () => 0.05,
    most: () => 20,
    now: (server, now) => digits(server.speed * (now.states.find(({ kind }) => kind === "speed")?.value ?? 1)),
    drag: (value, pixels) => digits(value * 2 ** (pixels / DOUBLING)),
    step: (value, way) => digits(value * 2 ** (way / 4)),
    message: (server, value) => ({ do: "slow", server: server.name, factor: +(value / server.speed).toPrecision(6) }),
  },
  weight: {
    text: (value, small) => `${small ? "w " : "weight "}${brief(value)}`,
    least: () => 0,
    most: (server) => Math.max(10, 2 * server.weight),
    now: (server, now) => now.weight,
    drag: (value, pixels) => Math.round(value + pixels / NOTCH),
    step: (value, way) => Math.round(value + way),
    message: (server, weight) => ({ do: "weight", server: server.name, weight }),
  },
};

// Bottom left the speed, bottom right the weight.
function placeKnobs(stage, theatre, number, act) {
  const box = stage.layout.boxes[number];
  if (box.height < ROOMY) return [];
  return Object.entries(KNOBS).map(([name, knob], i) => {
    const button = element(stage.hands, "div", "lbt-knob", { role: "slider", tabindex: 0, "aria-orientation": "vertical" });
    button.style.left = `${box.x + (i ? 0.52 : 0.02) * box.width}px`;
    button.style.width = `${0.46 * box.width}px`;
    button.style.top = `${box.y + box.height - 9}px`;
    const server = stage.index.film.servers[number];
    button.setAttribute("aria-label", `${name} of ${server.name}`);
    button.setAttribute("title", `${name}: drag up or down, or press ↑ ↓`);
    return new Knob(stage, theatre, number, button, knob, act);
  });
}

class Knob {
  constructor(stage, theatre, number, button, knob, act) {
    Object.assign(this, { stage, player: theatre.player, number, button, knob, act, dragged: null });
    button.addEventListener("pointerdown", (event) => this.grab(event));
    button.addEventListener("pointermove", (event) => this.dragged && this.move(event));
    for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => this.release());
    button.addEventListener("keydown", (event) => this.press(event));
  }

  get server() {
    return this.stage.index.film.servers[this.number];
  }

  // What it says: the value that is being set, or that of this moment of the film.
  show() {
    const { button, knob, stage } = this;
    const value = this.value ?? knob.now(this.server, stage.moment.servers[this.number]);
    put(button, knob.text(value, stage.layout.small));
    button.setAttribute("aria-valuenow", value);
    button.setAttribute("aria-valuetext", brief(value));
    button.setAttribute("aria-valuemin", knob.least(this.server));
    button.setAttribute("aria-valuemax", knob.most(this.server));
  }

  // The clock stands still while one drags: it is all done at one moment.
  grab(event) {
    event.preventDefault();
    this.button.focus();
    this.button.setPointerCapture(event.pointerId);
    const from = this.knob.now(this.server, this.stage.moment.servers[this.number]);
    this.dragged = { from, y: event.clientY, playing: this.player.playing };
    if (!this.player.following) this.player.pause(); // a session goes on
    this.button.classList.add("lbt-dragged");
  }

  move(event) {
    this.set(this.knob.drag(this.dragged.from, this.dragged.y - event.clientY));
  }

  release() {
    if (!this.dragged) return;
    const { playing } = this.dragged;
    this.dragged = null;
    this.button.classList.remove("lbt-dragged");
    this.compute();
    if (playing && !this.player.following) this.player.start();
  }

  set(value) {
    const within = clamp(value, this.knob.least(this.server), this.knob.most(this.server));
    if (within === +this.button.getAttribute("aria-valuenow")) return;
    this.value = within;
    this.show();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.compute(), SETTLED);
  }

  // `value` stays until the film with it is here: then it is the film's.
  compute() {
    clearTimeout(this.settling);
    if (this.value === undefined || this.value === this.computed) return;
    this.computed = this.value;
    this.act(this.knob.message(this.server, this.value));
  }

  // After another film.
  renew() {
    if (this.dragged || this.value !== this.computed) this.show();
    else this.forget();
  }

  // After a refusal: it is as it was.
  forget() {
    this.value = this.computed = undefined;
    this.show();
  }

  press(event) {
    const { knob, server } = this;
    const value = this.value ?? knob.now(server, this.stage.moment.servers[this.number]);
    const ways = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 4, PageDown: -4 };
    const ends = { Home: knob.least(server), End: knob.most(server) };
    if (event.key in ways) this.set(knob.step(value, ways[event.key]));
    else if (event.key in ends) this.set(ends[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// The values of a knob from step to step, and which is nearest to the one it has now: for a slider in a menu.
function knobRange(knob, server, now) {
  const values = [knob.now(server, now)];
  const within = (value) => value >= knob.least(server) && value <= knob.most(server);
  for (let up = knob.step(values[0], 1); within(up) && up > values.at(-1); up = knob.step(up, 1)) values.push(up);
  for (let down = knob.step(values[0], -1); within(down) && down < values[0]; down = knob.step(down, -1)) values.unshift(down);
  return { values, at: values.indexOf(knob.now(server, now)) };
}
