// Algorithms to choose from: buttons in the colours of their lines, and a menu of all that can be searched.
// What is chosen is decided in Python: a press is sent there, and `chosen` comes back.

const DASHES = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" };

function element(tag, look = "", text = "") {
  const made = document.createElement(tag);
  made.className = look;
  made.textContent = text; // never HTML: docstrings are anyone's
  return made;
}

function swatch(offer) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = svg.appendChild(document.createElementNS(svg.namespaceURI, "line"));
  const parts = { x1: 0, y1: 4, x2: 18, y2: 4, stroke: offer.colour, "stroke-width": 3 };
  for (const [name, value] of Object.entries(parts)) line.setAttribute(name, value);
  line.setAttribute("stroke-dasharray", DASHES[offer.dash]);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

function render({ model, el }) {
  el.classList.add("lbkit-choice");
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are for cells
  const row = el.appendChild(element("div", "lbkit-starters"));
  const menu = el.appendChild(element("div", "lbkit-menu"));
  menu.popover = "auto"; // above everything: a cell's output clips what does not fit
  const search = menu.appendChild(element("input"));
  search.type = "search";
  search.placeholder = "search algorithms";
  search.setAttribute("aria-label", search.placeholder);
  const list = menu.appendChild(element("div", "lbkit-list"));
  const more = element("button", "lbkit-other", "more \u2026");
  more.type = "button";
  more.title = "all algorithms, by family";
  more.popoverTargetElement = menu;

  function button(offer, look) {
    const made = element("button", look);
    made.type = "button";
    made.dataset.name = offer.name;
    made.title = offer.line;
    made.style.setProperty("--own", offer.colour);
    made.setAttribute("aria-pressed", model.get("chosen").includes(offer.name));
    made.append(swatch(offer), element("span", "lbkit-name", offer.title));
    made.onclick = () => model.send({ press: offer.name });
    return made;
  }

  function fillRow() {
    const focused = row.contains(document.activeElement) && document.activeElement.dataset.name;
    const offers = new Map(model.get("offers").map((offer) => [offer.name, offer]));
    const shown = model.get("buttons").filter((name) => offers.has(name));
    row.replaceChildren(...shown.map((name) => button(offers.get(name), "lbkit-policy")), more);
    if (focused) row.querySelector(`[data-name="${focused}"]`)?.focus();
  }

  function fillList() {
    const words = search.value.toLowerCase().split(/\s+/);
    const found = model.get("offers").filter((o) => {
      const text = `${o.title} ${o.name} ${o.family} ${o.line}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const rows = [];
    for (const [i, offer] of found.entries()) {
      if (offer.family !== found[i - 1]?.family) rows.push(element("div", "lbkit-family", offer.family));
      const made = button(offer, "lbkit-row");
      made.append(element("span", "lbkit-line", offer.line));
      rows.push(made);
    }
    list.replaceChildren(...(found.length ? rows : [element("div", "lbkit-family", "none has these words")]));
  }

  function mark() {
    fillRow();
    for (const made of list.querySelectorAll("button"))
      made.setAttribute("aria-pressed", model.get("chosen").includes(made.dataset.name));
  }

  function place() {
    const zoom = menu.currentCSSZoom ?? 1; // of projector mode: the page's pixels are not the menu's
    const [within, high] = [innerWidth / zoom, innerHeight / zoom];
    const [left, bottom] = [more.getBoundingClientRect().left / zoom, more.getBoundingClientRect().bottom / zoom];
    const wide = Math.min(560, within - 24);
    menu.style.width = `${wide}px`;
    menu.style.left = `${Math.max(12, Math.min(left, within - wide - 12))}px`;
    menu.style.top = `${bottom + 4}px`;
    menu.style.maxHeight = `${Math.max(160, high - bottom - 16)}px`;
  }

  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    search.value = "";
    fillList();
    place();
    search.focus();
  });
  search.addEventListener("input", fillList);
  menu.addEventListener("keydown", (event) => {
    const stops = [search, ...list.querySelectorAll("button")];
    const at = stops.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      stops[Math.max(0, Math.min(to, stops.length - 1))].focus();
    } else if (event.key === "Enter" && at === 0) stops[1]?.click();
    else if (event.key === "Escape") menu.hidePopover(); // a search field would only lose its words
  });

  const refill = () => (fillRow(), fillList());
  const news = [["change:offers", refill], ["change:buttons", fillRow], ["change:chosen", mark]];
  for (const [what, act] of news) model.on(what, act);
  refill();
  return () => news.forEach(([what, act]) => model.off(what, act));
}

export default { render };
