// The theatre: one or two stages, one clock, one bar of controls. `model` is anywidget's, or one that a saved
// page makes: `get("spec")` is {films, colours, hands}; "change:number" says that there is another.

const REST = 800; // milliseconds at rest until a picture is taken
const STRIP = 34; // pixels that it is high

class Theatre {
  constructor(model, el) {
    this.model = model;
    this.root = element(el, "div", "lbkit-theatre", { tabindex: 0, role: "group", "data-lm-suppress-shortcuts": "true" });
    this.stagesPlace = element(this.root, "div", "lbt-stages");
    this.shelf = element(this.root, "div", "lbt-shelf"); // the props of each stage
    this.stages = [];
    this.read();
    this.player = new Player(spanOf(this.indexes), () => this.show());
    this.controls = controlBar(this.root, this.player);
    this.root.append(this.shelf); // below the bar, so that the bar is in sight
    this.fault = element(this.root, "div", "lbt-fault", { role: "alert" });
    this.legend = legendPlace(this.root, el.clientWidth);
    this.notes = element(this.root, "ul", "lbt-notes");
    this.live = element(this.root, "div", "lbt-live", { "aria-live": "polite" });
    this.cover = playCover(this.stagesPlace, this.player);
    this.listen(el);
    this.running?.begin();
    this.refresh();
  }

  read() {
    const spec = JSON.parse(this.model.get("spec"));
    this.indexes = spec.films.map(indexed);
    this.running?.end();
    this.running = spec.live ? new Live(this, spec.films[0], spec.live) : null;
    while (this.stages.length > this.indexes.length) this.stages.pop().remove();
    while (this.stages.length < this.indexes.length) this.stages.push(new Stage(this.stagesPlace, this.shelf));
    this.stages.forEach((stage, i) => {
      stage.show(this.indexes[i], spec.colours);
      stage.placed = spec.hands ? (placed) => placeHands(placed, this, i, spec.hands) : undefined;
      if (!spec.hands) takeHands(stage);
    });
    const titles = this.indexes.map(({ film }) => film.title).join(" and ");
    this.root.setAttribute("aria-label", `Theatre: ${titles}. Space plays, left and right step, up and down change the speed.`);
    this.root.dataset.films = this.indexes.length;
    return spec;
  }

  // Another film: the same moment of it, or played from its beginning.
  renew() {
    const { again } = this.read();
    this.told({ fault: "" });
    this.player.over(spanOf(this.indexes));
    this.running?.begin();
    this.refresh();
    if (again) this.player.again();
  }

  // More of a running session; or why something cannot be done.
  told({ more, fault }) {
    if (more) return this.running?.add(more);
    this.player.waits = false;
    put(this.fault, fault ?? "");
    if (fault) this.stages.forEach((stage) => stage.knobs?.forEach((knob) => knob.forget()));
  }

  listen(el) {
    const renew = () => this.renew();
    const refresh = () => this.refresh();
    const printing = () => this.print();
    const printed = () => {
      this.printing = false;
      this.refresh();
    };
    const told = (message) => this.told(message);
    this.model.on("change:number", renew);
    this.model.on("msg:custom", told);
    this.root.addEventListener("keydown", (event) => pressed(event, this.player));
    this.controls.track.addEventListener("pointermove", (event) => this.tell(event));
    const resized = new ResizeObserver(refresh);
    resized.observe(el);
    const unthemed = onTheme(refresh);
    const { larger } = this.controls;
    const projects = () => {
      larger.setAttribute("aria-pressed", projected());
      refresh();
    };
    larger.setAttribute("aria-pressed", projected());
    addEventListener("lbkit-projector", projects);
    addEventListener("beforeprint", printing);
    addEventListener("afterprint", printed);
    this.close = () => {
      this.player.playing = false;
      clearTimeout(this.resting);
      this.model.off("change:number", renew);
      this.model.off("msg:custom", told);
      resized.disconnect();
      unthemed();
      removeEventListener("lbkit-projector", projects);
      removeEventListener("beforeprint", printing);
      removeEventListener("afterprint", printed);
    };
  }

  // One still picture, with light colours; nothing changes it until it is printed.
  print() {
    this.player.pause();
    this.stages.forEach((stage) => stage.freshCanvases());
    this.refresh(LIGHT);
    this.printing = true;
  }

  // After a change of the size, the theme or the film.
  refresh(theme = themeOf(this.root)) {
    if (this.printing) return;
    this.theme = theme;
    for (const [name, colour] of Object.entries(this.theme)) this.root.style.setProperty(`--lbt-${name}`, colour);
    this.stages.forEach((stage) => stage.resize(this.theme));
    this.around();
    this.show();
  }

  // What stands around the stages: it depends on the film, not on the time.
  around(legend = true) {
    const { track, strip } = this.controls;
    const width = track.clientWidth;
    if (width) drawStrip(sized(strip, width, STRIP), width, STRIP, this.stages, this.player, this.theme);
    if (legend) showLegend(this.legend, this.indexes, this.theme);
    const notes = [...new Set(this.indexes.flatMap(({ film }) => film.notes ?? []))];
    if (notes.join("\n") === this.noted) return;
    this.noted = notes.join("\n");
    this.notes.replaceChildren();
    for (const note of notes) element(this.notes, "li").textContent = note;
  }

  // After a change of the time: the whole picture anew.
  show() {
    const { player } = this;
    if (this.printing) return;
    if (this.controls) this.running?.shown();
    this.stages.forEach((stage) => stage.paint(player));
    if (!this.controls) return;
    showControls(this.controls, player);
    this.cover.hidden = player.playing || player.t > player.begin;
    this.root.dataset.playing = player.playing;
    clearTimeout(this.resting);
    if (player.playing) return;
    this.speak();
    if (this.model.send) this.resting = setTimeout(() => this.photograph(), REST);
  }

  // For screen readers, where the film rests.
  speak() {
    const time = clockText(this.player.t, this.player.pace);
    const said = this.stages.filter((stage) => stage.moment);
    for (const stage of said) stage.canvas.setAttribute("aria-label", spoken(stage.index, stage.moment, stage.said, time));
    put(this.live, said.map((stage) => stage.canvas.getAttribute("aria-label")).join(" "));
  }

  // A picture of the stages and their props, below each other, for the saved notebook: there the widget is gone.
  photograph() {
    const shown = this.stages.filter((stage) => stage.layout);
    if (!shown.length) return; // not on the screen
    const width = Math.max(...shown.map((stage) => stage.layout.width));
    const canvas = document.createElement("canvas");
    const layers = shown.flatMap((stage) => stage.layers());
    const pen = sized(canvas, width, layers.reduce((sum, { height }) => sum + height, 0));
    pen.fillStyle = this.theme.page;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    let y = 0;
    for (const { canvases, width, height } of layers) {
      for (const layer of canvases) pen.drawImage(layer, 0, y, width, height);
      y += height;
    }
    const words = shown.map((stage) => stage.canvas.getAttribute("aria-label")).join(" ");
    this.model.send({ still: canvas.toDataURL("image/webp"), width: Math.min(width, 1000), words });
  }

  // What happened near the pointer.
  tell(event) {
    const { player, controls } = this;
    const { left, width } = controls.track.getBoundingClientRect();
    const t = mix(player.begin, player.end, (event.clientX - left) / width);
    const near = (6 / width) * (player.end - player.begin);
    const marks = marksOf(this.indexes).filter((mark) => Math.abs(mark.at - t) < near);
    controls.track.title = marks.map((mark) => `${clockText(mark.at, player.pace)}: ${mark.text}`).join("\n");
  }
}

function playCover(place, player) {
  const cover = element(place, "button", "lbt-cover", { type: "button", "aria-label": "play", tabindex: -1 });
  icon(cover, "play");
  cover.addEventListener("click", () => player.toggle());
  return cover;
}

const KEYS = {
  " ": (player) => player.toggle(),
  ArrowRight: (player) => player.step(1),
  ArrowLeft: (player) => player.step(-1),
  ArrowUp: (player) => player.faster(0.1),
  ArrowDown: (player) => player.faster(-0.1),
  Home: (player) => player.seek(player.begin),
  End: (player) => player.seek(player.end),
  p: () => project(!projected()),
};

// Sliders, buttons and fields have their own use of keys.
function pressed(event, player) {
  const own = event.target.closest("input, select, .lbt-menu, [role=slider]") || (event.key === " " && event.target.closest("button, summary"));
  const act = KEYS[event.key];
  if (!act || own || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  act(player);
}

function render({ model, el }) {
  const theatre = new Theatre(model, el);
  el.classList.add("lbkit-figure"); // with a picture in saved notebooks
  el.theatre = theatre; // for tests and benchmarks
  return () => theatre.close();
}

export default { render };
