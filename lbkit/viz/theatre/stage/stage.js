// One stage: the picture of one film with its title, its counts and its caption.

const OWN = "#702EFA"; // of a policy without a colour

class Stage {
  constructor(parent, shelf) {
    this.root = element(parent, "figure", "lbt-stage");
    const head = element(this.root, "figcaption", "lbt-head");
    this.title = element(head, "strong");
    this.counts = element(head, "span", "lbt-counts");
    this.picture = element(this.root, "div", "lbt-picture");
    this.back = element(this.picture, "canvas", "lbt-back", { "aria-hidden": "true" });
    this.canvas = element(this.picture, "canvas", "", { role: "img" });
    this.caption = element(this.root, "p", "lbt-caption");
    this.propsPlace = element(shelf, "div", "lbt-props");
    this.props = [];
  }

  show(index, policyColours) {
    this.index = index;
    this.policyColours = policyColours;
    this.props = propViews(this.propsPlace, this.props, index.film.props ?? []);
    this.title.textContent = this.propsPlace.dataset.of = index.film.title;
    this.canvas.setAttribute("aria-label", `${index.film.title}: requests on their way to servers`);
  }

  remove() {
    this.root.remove();
    this.propsPlace.remove();
  }

  freshCanvases() {
    freshCanvas(this, "back");
    freshCanvas(this, "canvas");
    this.props.forEach((prop) => freshCanvas(prop, "canvas"));
  }

  resize(theme) {
    const width = this.picture.clientWidth;
    if (!width) return;
    this.layout = layoutOf(this.index, width);
    this.pens = [this.back, this.canvas].map((canvas) => sized(canvas, width, this.layout.height));
    this.props.forEach((prop) => prop.resize());
    this.rests = null;
    this.theme = theme;
    const colours = this.index.film.clients.map((client) => lifted(client.colour, theme));
    this.look = { theme, colours };
    this.placed?.(this);
  }

  paint(player) {
    if (!this.layout) return;
    this.moment = momentAt(this.index, player.t);
    this.said = captionAt(this.index, player);
    const colour = this.colourOf(this.moment.policy);
    const look = { ...this.look, colour, caption: this.said };
    const parts = [this.index, this.layout, this.moment, look];
    const rests = `${until(this.index.changes, player.t)} ${this.said?.at} ${this.said?.request} ${this.moment.panics}`;
    if (rests !== this.rests) {
      drawBack(this.pens[0], ...parts);
      this.knobs?.forEach((knob) => knob.show());
    }
    this.rests = rests;
    drawFront(this.pens[1], ...parts);
    const scene = { index: this.index, t: player.t, moment: this.moment, look, player };
    this.props.forEach((prop) => prop.paint(scene));
    this.write(player);
  }

  colourOf(policy) {
    return lifted(this.policyColours[policy] ?? OWN, this.theme);
  }

  // The pictures of it, from above: each with its canvases and its size.
  layers() {
    const props = this.props.filter(({ size }) => size).map(({ canvas, size }) => ({ canvases: [canvas], ...size }));
    return [{ canvases: [this.back, this.canvas], ...this.layout }, ...props];
  }

  write(player) {
    put(this.counts, countsText(this.index, this.moment));
    const { caption, said } = this;
    if (said === this.written && this.wasPlaying === player.playing) return;
    this.written = said;
    this.wasPlaying = player.playing;
    caption.replaceChildren();
    caption.classList.toggle("lbt-quiet", !said);
    if (!said) {
      caption.textContent = player.playing ? "slow down, pause or step to see why" : "";
      return;
    }
    const { who, chosen, why } = captionText(this.index, said);
    caption.append(chosen ? `${who} → ` : who);
    element(caption, "b").textContent = chosen;
    if (why) caption.append(`: ${why}`);
  }
}

function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
