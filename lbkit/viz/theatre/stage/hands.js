// The viewer's hands: a button over each server and client, and what it sends to Python. Only where there is one.

const FLOOD = 250; // milliseconds between two messages while a client is held
const GIVE_UP = 5000; // milliseconds to wait for the next film

// Where nothing has moved, the hands stay: one may be in use, or have the focus.
function placeHands(stage, theatre, number, hands) {
  const { film } = stage.index;
  const names = [film.servers, film.clients].map((all) => all.map(({ name }) => name));
  const places = JSON.stringify([stage.layout.boxes, stage.layout.tiers, stage.layout.clients, names, hands]);
  if (stage.hands?.places === places) return stage.knobs.forEach((knob) => knob.renew());
  if (stage.knobs?.some((knob) => knob.dragged)) return; // it is done when this one is released
  const focused = stage.hands?.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  stage.hands?.remove();
  stage.hands = element(stage.picture, "div", "lbt-hands");
  stage.hands.places = places;
  stage.knobs = [];
  const act = (message) => send(theatre, number, message);
  stage.layout.boxes.forEach((box, i) => {
    const hand = handOver(stage, box, `server ${film.servers[i].name}: kill, drain, speed, weight`);
    hand.addEventListener("click", () => openMenu(stage, hand, serverItems(stage, i), act));
    stage.knobs.push(...placeKnobs(stage, theatre, i, act));
  });
  stage.layout.tiers.forEach((box, i) => {
    const hand = handOver(stage, box, `tier ${film.tiers[i].name}: kill, drain`);
    hand.addEventListener("click", () => openMenu(stage, hand, nodeItems(film.tiers[i].name, stage.moment.tiers[i]), act));
  });
  stage.layout.clients.forEach(({ x, y, radius }, i) => {
    const { name } = film.clients[i];
    const around = { x: x - radius - 4, y: y - radius - 4, width: 2 * radius + 8, height: 2 * radius + 8 };
    const hand = handOver(stage, around, `client ${name}: send a request; hold to flood`);
    hand.classList.add("lbt-client");
    onHold(hand, (count) => act({ do: "send", client: name, requests: count }));
  });
  const hand = handOver(stage, stage.layout.balancer, `balancer: another policy${hands.undo === false ? "" : ", undo"}`);
  hand.addEventListener("click", () => openMenu(stage, hand, policyItems(stage, hands), act));
  if (focused) [...stage.hands.children].find((one) => one.getAttribute("aria-label") === focused)?.focus();
}

function takeHands(stage) {
  stage.menu?.remove();
  stage.hands?.remove();
  stage.hands = stage.knobs = undefined;
}

function handOver(stage, box, label) {
  const hand = element(stage.hands, "button", "lbt-hand", { type: "button", "aria-label": label, title: label });
  for (const [side, value] of [["left", box.x], ["top", box.y], ["width", box.width], ["height", box.height]])
    hand.style[side] = `${value}px`;
  return hand;
}

// A film has microseconds: this one, or the last before it, so that what is done now can be seen now.
function microsecond(t) {
  const near = +t.toFixed(6);
  return near <= t ? near : +(near - 1e-6).toFixed(6);
}

// The film waits for the next one, so that what was done is done now.
function send(theatre, number, message) {
  const { player, model, running } = theatre;
  if (!running) {
    player.waits = true;
    clearTimeout(theatre.givingUp);
    theatre.givingUp = setTimeout(() => (player.waits = false), GIVE_UP);
  }
  model.send({ ...message, at: microsecond(player.t), stage: number });
}

// A click is one; held, one more and then ever more.
function onHold(hand, act) {
  let timer = 0;
  let count = 1;
  const end = () => clearInterval(timer);
  hand.addEventListener("pointerdown", () => {
    count = 1;
    end();
    timer = setInterval(() => act((count = Math.min(20, count + 1))), FLOOD);
  });
  hand.addEventListener("pointerup", end); // a click follows
  for (const name of ["pointerleave", "pointercancel"])
    hand.addEventListener(name, () => {
      end();
      count = 1;
    });
  hand.addEventListener("click", () => {
    if (count === 1) act(1); // a key has the same click, without a pointer
    count = 1;
  });
}

// [text, message] of what can be done to a server as it is now; of a knob, [its name, message of a value, the knob]
function serverItems(stage, number) {
  const server = stage.index.film.servers[number];
  const now = stage.moment.servers[number];
  const knobs = Object.entries(KNOBS).map(([text, knob]) => [text, (value) => knob.message(server, value), knobRange(knob, server, now)]);
  return [...nodeItems(server.name, now), ...knobs];
}

// What can be done to a server as well as to a tier.
function nodeItems(name, now) {
  const is = (...states) => now.states.some((change) => states.includes(change.state));
  return [
    is("down") ? ["revive", { do: "revive", server: name }] : ["kill", { do: "kill", server: name }],
    is("draining", "drained") ? ["end the drain", { do: "undrain", server: name }] : ["drain", { do: "drain", server: name }],
  ];
}

// What was done to a real process cannot be undone.
function policyItems(stage, { policies, undo }) {
  const others = policies.filter((policy) => policy !== stage.moment.policy);
  const items = others.map((policy) => [policy.replaceAll("_", " "), { do: "switch", policy }]);
  return undo === false ? items : [["undo the last change", { do: "undo" }], ...items];
}

function openMenu(stage, hand, items, act) {
  stage.menu?.remove();
  const menu = (stage.menu = element(stage.picture, "div", "lbt-menu", { role: "menu" }));
  const close = () => {
    menu.remove();
    hand.focus();
  };
  const outside = (event) => {
    if (!menu.isConnected) return document.removeEventListener("pointerdown", outside, true);
    if (!menu.contains(event.target)) close();
  };
  for (const [text, message, range] of items) {
    if (range) menuSlider(menu, text, range, (chosen) => (close(), act(message(chosen))));
    else menuButton(menu, text, () => (close(), act(message)));
  }
  menu.addEventListener("keydown", (event) => moveIn(menu, event, close));
  document.addEventListener("pointerdown", outside, true);
  const { offsetLeft, offsetTop, offsetWidth } = hand;
  menu.style.left = `${clamp(offsetLeft + offsetWidth / 2 - 100, 4, stage.picture.clientWidth - 220)}px`;
  menu.style.top = `${clamp(offsetTop + 24, 4, Math.max(4, stage.picture.clientHeight - menu.offsetHeight - 4))}px`;
  menu.querySelector("button")?.focus();
}

function menuButton(menu, text, act) {
  const button = element(menu, "button", "", { type: "button", role: "menuitem" });
  button.textContent = text;
  button.addEventListener("click", act);
}

// A slider over the values that a knob has, from step to step.
function menuSlider(menu, text, { values, at }, act) {
  const label = element(menu, "label");
  const said = element(label, "span");
  const slider = element(label, "input", "", { type: "range", min: 0, max: values.length - 1, step: 1, "aria-label": text });
  slider.value = at;
  const say = () => {
    said.textContent = `${text} ${brief(values[slider.value])}`;
    slider.setAttribute("aria-valuetext", brief(values[slider.value]));
  };
  slider.addEventListener("input", say);
  slider.addEventListener("change", () => act(values[slider.value]));
  say();
}

function moveIn(menu, event, close) {
  const all = [...menu.querySelectorAll("button, input")];
  const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") close();
  else if (way) all[(all.indexOf(document.activeElement) + way + all.length) % all.length].focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
