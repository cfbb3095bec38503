// Props: what a film shows besides clients, balancer and servers, each in a small figure under the picture.
//
// A kind draws a prop: `height(prop, width)` in pixels, `draw(pen, size, prop, scene)`, and `words(prop, scene)`, the
// line below it; all are functions of the film and the time. `scene` is {index, t, moment, look, player}.

const propKinds = () => ({
  breaker: BREAKER_PROP,
  connections: CONNECTIONS_PROP,
  health: HEALTH_PROP,
  limiter: LIMITER_PROP,
  shaper: SHAPER_PROP,
  gate: GATE_PROP,
  cache: CACHE_PROP,
  ring: RING_PROP,
  sticky: STICKY_PROP,
});

const LETTER = 6.2; // pixels of a letter, about

class PropView {
  constructor(parent, prop) {
    this.prop = prop;
    this.kind = propKinds()[prop.kind];
    this.root = element(parent, "figure", `lbt-prop lbt-prop-${prop.kind}`);
    element(this.root, "figcaption").textContent = prop.title;
    this.canvas = element(this.root, "canvas", "", { role: "img" });
    this.words = element(this.root, "p", "lbt-prop-words");
  }

  resize() {
    const width = this.root.clientWidth;
    if (!width) return;
    this.size = { width, height: this.kind.height(this.prop, width) };
    this.pen = sized(this.canvas, width, this.size.height);
    this.lines = 1;
    this.words.style.minHeight = "";
  }

  paint(scene) {
    if (!this.size) return;
    clear(this.pen, this.size.width, this.size.height);
    this.kind.draw(this.pen, this.size, this.prop, scene);
    const words = this.kind.words(this.prop, scene);
    put(this.words, words);
    // What is below stays where it is when the words get shorter again.
    const lines = Math.ceil((words.length * LETTER) / this.size.width);
    if (lines > this.lines) this.words.style.minHeight = `${1.4 * (this.lines = lines)}em`;
    if (!scene.player.playing) this.canvas.setAttribute("aria-label", `${this.prop.title}: ${words}`);
  }
}

// A view of each prop whose kind is known; the same views for another film with the same props.
function propViews(place, views, props) {
  const known = props.filter((prop) => prop.kind in propKinds());
  const name = ({ kind, title }) => `${kind}: ${title}`;
  if (known.map(name).join() === views.map(({ prop }) => name(prop)).join()) {
    known.forEach((prop, i) => (views[i].prop = prop));
    return views;
  }
  place.replaceChildren();
  return known.map((prop) => new PropView(place, prop));
}
