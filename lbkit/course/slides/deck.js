// The deck: one slide at a time, whose stage is made when it is first shown, as a hidden one has no size.

const WIDE = 900; // pixels of a stage, before it is enlarged, so that its letters are read from the last row
const slides = [...document.querySelectorAll("section")];
const specs = JSON.parse(document.getElementById("specs").textContent);
const density = globalThis.devicePixelRatio || 1;
let place = 0;
let speaker = null;
let zoom = 1;

// Canvases are enlarged with the page, so they need as many dots more.
const enlarged = () => Math.max(1, innerWidth / WIDE);
Object.defineProperty(globalThis, "devicePixelRatio", { get: () => density * zoom, configurable: true });

const here = () => slides[place];
const stageOf = (slide) => slide.querySelector(".theatre")?.theatre;

// As large as it can be below the title.
function fit() {
  const holder = here().querySelector(".theatre");
  if (!holder?.theatre) return;
  const notes = here().querySelector(".notes")?.offsetHeight ?? 0;
  const room = here().getBoundingClientRect().bottom - holder.getBoundingClientRect().top - notes;
  for (zoom = enlarged(); zoom > 0.6; zoom *= 0.94) {
    holder.style.zoom = zoom;
    holder.theatre.refresh();
    if (holder.getBoundingClientRect().height <= room) return;
  }
}

function show(next) {
  stageOf(here())?.player.pause();
  here().hidden = true;
  place = Math.max(0, Math.min(slides.length - 1, next));
  here().hidden = false;
  const holder = here().querySelector(".theatre");
  if (holder && !holder.theatre) {
    const text = JSON.stringify(specs[holder.dataset.spec]);
    render({ model: { get: (name) => ({ spec: text, number: 1 })[name], on() {}, off() {} }, el: holder });
  }
  fit();
  document.getElementById("place").textContent = `${place + 1} of ${slides.length}`;
  document.title = here().getAttribute("aria-label");
  history.replaceState(null, "", `#${place + 1}`);
  tell();
}

// Forward: first the answer of a question, then the next slide.
function forward() {
  const answer = here().querySelector(".answer");
  if (!answer?.hidden) return show(place + 1);
  answer.hidden = false;
  here().classList.add("answered");
}

// The notes of this slide and the title of the next one, in a window for the speaker's own screen.
function tell() {
  if (!speaker || speaker.closed) return;
  const notes = here().querySelector(".notes")?.textContent ?? "";
  const next = slides[place + 1]?.getAttribute("aria-label") ?? "the end";
  speaker.document.title = "Notes";
  speaker.document.body.style.cssText = "font: 24px/1.5 system-ui, sans-serif; margin: 32px; white-space: pre-line";
  speaker.document.body.textContent = `${here().getAttribute("aria-label")}\n\n${notes}\n\nNext: ${next}`;
}

const ACTS = {
  ArrowRight: forward,
  PageDown: forward,
  ArrowLeft: () => show(place - 1),
  PageUp: () => show(place - 1),
  Home: () => show(0),
  End: () => show(slides.length - 1),
  " ": () => (stageOf(here()) ? stageOf(here()).player.toggle() : forward()),
  ".": () => stageOf(here())?.player.step(1),
  ",": () => stageOf(here())?.player.step(-1),
  ArrowUp: () => stageOf(here())?.player.faster(0.1),
  ArrowDown: () => stageOf(here())?.player.faster(-0.1),
  s: () => {
    document.body.classList.toggle("speaks");
    fit();
  },
  n: () => {
    speaker = open("", "notes", "width=720,height=480");
    tell();
  },
  f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
};

// Before the stage has the key: there, the arrows are of the decisions, and here of the slides.
addEventListener(
  "keydown",
  (event) => {
    const own = event.target.closest?.("input") || (event.key === " " && event.target.closest?.("button"));
    if (!ACTS[event.key] || own || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    ACTS[event.key]();
  },
  true
);
addEventListener("resize", fit);
addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0));
show(Number(location.hash.slice(1)) - 1 || 0);
