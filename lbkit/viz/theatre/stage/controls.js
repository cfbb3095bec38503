// The parts of the page around the pictures: one bar of controls, the legend, the notes.

const ICONS = {
  back: "M5 4h2.5v16H5zM19 4v16L8.5 12z",
  play: "M6 4l14 8-14 8z",
  pause: "M6 4h4.5v16H6zM13.5 4H18v16h-4.5z",
  forward: "M16.5 4H19v16h-2.5zM5 4v16l10.5-8z",
  larger: "M3 8h4v2H5v6h2v2H3zM21 8h-4v2h2v6h-2v2h4zM11 7h2v4h4v2h-4v4h-2v-4H7v-2h4z",
};

function element(parent, tag, className = "", attributes = {}) {
  const made = parent.appendChild(document.createElement(tag));
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function icon(button, name) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
  path.setAttribute("d", ICONS[name]);
  button.replaceChildren(svg);
}

function controlBar(root, player) {
  const bar = element(root, "div", "lbt-bar");
  const button = (name, label, act) => {
    const made = element(bar, "button", "lbt-button", { type: "button", "aria-label": label, title: label });
    icon(made, name);
    made.addEventListener("click", act);
    return made;
  };
  button("back", "the decision before (←)", () => player.step(-1));
  const play = button("play", "play or pause (space)", () => player.toggle());
  play.classList.add("lbt-play");
  button("forward", "the next decision (→)", () => player.step(1));
  const time = element(bar, "output", "lbt-time");
  const track = element(bar, "div", "lbt-track");
  const strip = element(track, "canvas", "lbt-strip", { "aria-hidden": "true" });
  const now = element(track, "div", "lbt-now");
  const scrub = element(track, "input", "lbt-scrub", { type: "range", min: 0, max: 1, step: "any", "aria-label": "time" });
  scrub.addEventListener("input", () => {
    player.playing = false;
    player.seek(mix(player.begin, player.end, +scrub.value));
  });
  const speed = speedSlider(bar, player);
  const larger = button("larger", "projector mode: larger (p)", () => project(!projected()));
  return { bar, play, time, track, strip, now, scrub, speed, larger };
}

function speedSlider(bar, player) {
  const label = element(bar, "label", "lbt-speed", { title: "the speed at which it is played (↑ ↓)" });
  element(label, "span").textContent = "playback"; // servers have a speed, too
  const attributes = { type: "range", min: SLOWEST, max: FASTEST, step: 0.1, "aria-label": "playback speed" };
  const slider = element(label, "input", "", attributes);
  const said = element(label, "output");
  slider.addEventListener("input", () => player.faster(+slider.value - player.power));
  return { slider, said };
}

function speedText(speed) {
  if (speed >= 0.95) return `${+speed.toPrecision(2)}×`;
  return `1/${Math.round(1 / speed)}×`;
}

// The controls as the player is now.
function showControls({ play, time, now, scrub, speed }, player) {
  icon(play, player.playing && player.goal === null ? "pause" : "play");
  const clock = clockText(player.t, player.pace);
  if (time.textContent !== clock) time.textContent = clock;
  scrub.value = (player.t - player.begin) / (player.end - player.begin || 1);
  now.style.left = `${100 * scrub.value}%`;
  scrub.setAttribute("aria-valuetext", clock);
  speed.slider.value = player.power;
  speed.said.textContent = speedText(player.speed);
  speed.slider.setAttribute("aria-valuetext", speed.said.textContent);
}

// A pen in CSS pixels, whatever the density of the screen; the canvas gets this size.
function sized(canvas, width, height) {
  const density = (globalThis.devicePixelRatio || 1) * (canvas.currentCSSZoom ?? 1);
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.empty = true;
  return pen;
}

// While Chromium prepares to print, what is drawn on a canvas that was shown before, or after it was cleared, is lost:
// a fresh one is drawn on, and what is empty is not cleared.
function freshCanvas(holder, name) {
  const fresh = holder[name].cloneNode();
  holder[name].replaceWith(fresh);
  holder[name] = fresh;
}

function clear(pen, width, height) {
  if (!pen.empty) pen.clearRect(0, 0, width, height);
  pen.empty = false;
}
