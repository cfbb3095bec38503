// The picture, in two layers: what rests until something happens to a server or another decision is shown, and
// what moves.

function drawBack(pen, index, layout, moment, look) {
  clear(pen, layout.width, layout.height);
  const marked = moment.servers.map(badges);
  drawWays(pen, index, layout, marked, look, moment);
  drawClients(pen, index, layout, look);
  drawBalancer(pen, layout, moment, look);
  if (index.cache) drawCache(pen, layout, look);
  moment.servers.forEach((now, i) => drawServer(pen, index, layout, i, now, marked[i], look));
  drawTiers(pen, index, layout, moment, look);
  drawBreakers(pen, layout, moment, look);
  drawPools(pen, layout, look);
  if (look.caption) drawScores(pen, index, layout, look);
}

function drawFront(pen, index, layout, moment, look) {
  clear(pen, layout.width, layout.height);
  layout.boxes.forEach((box, i) => box.gauge && drawGauge(pen, index, box, i, moment.servers[i], look.theme));
  drawRings(pen, index, layout, moment, look);
  for (const dot of moment.probes) {
    const { x, y } = probePlace(layout, dot);
    drawProbe(pen, x, y, dot.outcome, look.theme);
  }
  drawDots(pen, index, layout, moment, look);
  drawQueueNumbers(pen, layout, moment, look);
  drawHeldNumber(pen, layout, moment, look);
  if (moment.panics) drawPanics(pen, layout, look);
  drawFollowNumber(pen, layout, moment, look);
}

// A cubic with these controls is what `smooth` draws.
function way(pen, from, to, end = to.x) {
  const third = (to.x - from.x) / 3;
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.bezierCurveTo(from.x + third, from.y, to.x - third, to.y, to.x, to.y);
  pen.lineTo(end, to.y);
  pen.stroke();
}

const PANIC_KEEPS = new Set(["breaker", "drain", "member"]); // what shuts a way also when health is ignored

function drawWays(pen, index, layout, marked, { theme, caption, colour }, moment) {
  const { panics } = moment;
  pen.strokeStyle = theme.hair;
  pen.lineWidth = 1.5;
  for (const client of layout.clients) way(pen, client, layout.hub);
  if (layout.routes) drawTierWays(pen, index, layout, moment, { theme, caption, colour });
  layout.boxes.forEach((box, i) => {
    const shut = marked[i].some(({ shut, kind }) => shut && !(panics && !PANIC_KEEPS.has(kind)));
    const chosen = caption?.chosen === i;
    pen.setLineDash(shut && !chosen ? [3, 5] : []);
    pen.strokeStyle = chosen ? colour : theme.hair;
    pen.lineWidth = chosen ? 3 : 1.5;
    way(pen, layout.routes?.[i].at(-2) ?? layout.hub, { x: layout.entry, y: middle(box) }, box.x);
    pen.setLineDash([]);
    if (chosen) arrow(pen, box.x, middle(box), colour);
    else drawLimit(pen, layout, i, index.film.servers[i].queue, theme);
  });
}

// The end of a queue that is limited.
function drawLimit(pen, layout, server, queue, theme) {
  if (!queue || queue > layout.room) return;
  const { x, y } = queuePlace(layout, server, queue - 0.4);
  const far = clamp(layout.pitch * 0.2, 5, 11);
  pen.strokeStyle = theme.line;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x, y - far);
  pen.lineTo(x, y + far);
  pen.stroke();
}

function arrow(pen, x, y, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x - 9, y - 5.5);
  pen.lineTo(x - 9, y + 5.5);
  pen.fill();
}

function drawClients(pen, index, layout, { theme }) {
  pen.textBaseline = "middle";
  layout.clients.forEach(({ x, y, radius }, i) => {
    const client = index.film.clients[i];
    circle(pen, x, y, radius);
    pen.fillStyle = lifted(client.colour, theme);
    pen.fill();
    pen.font = font(layout.small ? 10 : 12, 600);
    if (layout.small) return nameWithin(pen, client.name, x, y, radius);
    pen.fillStyle = theme.ink;
    pen.textAlign = "right";
    pen.fillText(fitted(pen, client.name, 64), x - radius - 6, y + 0.5);
  });
}

// Where there is no room beside a client: its name on it, if it is short.
function nameWithin(pen, name, x, y, radius) {
  if (pen.measureText(name).width > 2 * radius - 2) return;
  pen.fillStyle = inkOn(pen.fillStyle);
  pen.textAlign = "center";
  pen.fillText(name, x, y + 0.5);
}

function drawBalancer(pen, layout, moment, { theme, colour, caption }) {
  const { x, y, width, height } = layout.balancer;
  const centre = x + width / 2;
  rounded(pen, x, y, width, height, 12);
  pen.fillStyle = theme.panel;
  pen.fill();
  pen.lineWidth = 2.5;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  pen.fillStyle = theme.faint;
  pen.font = font(11);
  pen.fillText("balancer", centre, y + 18);
  pen.fillStyle = theme.ink;
  pen.font = font(layout.small ? 10 : 13, 650);
  const lines = wrapped(pen, moment.policy.replaceAll("_", " "), width - 10).slice(0, 3);
  lines.forEach((line, i) => pen.fillText(fitted(pen, line, width - 8), centre, y + 35 + 15 * i));
  drawHub(pen, layout.hub, caption, theme, colour);
}

function drawHeldNumber(pen, { balancer }, { held }, { theme }) {
  if (held <= heldRoom(balancer)) return;
  pen.fillStyle = theme.ink;
  pen.font = font(11, 650);
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  pen.fillText(`${held.toLocaleString("en")} held`, balancer.x + balancer.width / 2, balancer.y + balancer.height + 15);
}

// Too few servers are healthy: the balancer ignores their health.
function drawPanics(pen, { balancer, small }, { theme }) {
  const text = small ? "panic" : "panic: health is ignored";
  pen.font = font(11, 700);
  const width = pen.measureText(text).width + 14;
  const x = balancer.x + balancer.width / 2;
  rounded(pen, x - width / 2, balancer.y - 26, width, 20, 10);
  pen.fillStyle = theme.failed;
  pen.fill();
  pen.fillStyle = theme.page;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(text, x, balancer.y - 15.5);
}

// Around the request that is being decided: the place of the choice, among all turns or on a ring.
function drawHub(pen, { x, y }, caption, theme, colour) {
  const radius = 17;
  circle(pen, x, y, radius);
  pen.fillStyle = theme.slot;
  pen.fill();
  if ((caption?.place ?? null) === null) return;
  pen.lineWidth = 1.5;
  pen.strokeStyle = theme.line;
  pen.stroke();
  const angle = (caption.place / (caption.places || 1)) * TAU - TAU / 4;
  circle(pen, x + radius * Math.cos(angle), y + radius * Math.sin(angle), 4);
  pen.fillStyle = colour;
  pen.fill();
}

function wrapped(pen, text, width) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

// Past the last place that there is room for, the number of all that wait.
function drawQueueNumbers(pen, layout, moment, { theme }) {
  layout.boxes.forEach((box, i) => {
    const { waiting } = moment.servers[i];
    if (waiting <= layout.room) return;
    const { x, y } = queuePlace(layout, i, layout.room);
    pen.font = font(11, 700);
    const text = waiting.toLocaleString("en");
    const width = pen.measureText(text).width + 12;
    rounded(pen, x - width / 2 - 1, y - 9, width, 18, 9);
    pen.fillStyle = theme.ink;
    pen.fill();
    pen.fillStyle = theme.page;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, x - 1, y + 0.5);
  });
}

function drawBreakers(pen, layout, moment, { theme }) {
  moment.servers.forEach((now, i) => {
    const change = now.states.find(({ kind }) => kind === "breaker");
    if (!change) return;
    const x = mix(layout.balancer.x + layout.balancer.width, layout.entry, 0.75);
    breaker(pen, x, serverRoad(layout, i, x), change.state.replace("_", " "), theme);
  });
}

// A bracket around the servers of each pool, and its name; that of the choice in the policy's colour.
function drawPools(pen, { pools, boxes, small }, { theme, colour, caption }) {
  for (const { name, label, servers } of pools) {
    const chosen = servers.includes(caption?.chosen);
    const [first, last] = [boxes[servers[0]], boxes[servers.at(-1)]];
    const right = first.x + first.width + 6;
    pen.strokeStyle = chosen ? colour : theme.line;
    pen.lineWidth = chosen ? 2.5 : 1.5;
    pen.beginPath();
    pen.moveTo(right - 4, first.y + 1);
    pen.lineTo(right, first.y + 1);
    pen.lineTo(right, last.y + last.height - 1);
    pen.lineTo(right - 4, last.y + last.height - 1);
    pen.stroke();
    pen.font = font(11.5, 700);
    pen.fillStyle = chosen ? theme.ink : theme.faint;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(fitted(pen, small ? `pool ${name}` : label, first.width), first.x, first.y - 8);
  }
}

// How much of each service is done: all rings of a colour are one path.
function drawRings(pen, index, layout, moment, { colours }) {
  const paths = colours.map(() => new Path2D());
  for (const dot of moment.dots) {
    if (dot.phase !== "work" || dot.since < 1) continue;
    const { x, y, hidden } = slotPlace(layout, dot.server, dot.slot);
    if (hidden) continue;
    const radius = slotRadius(layout, dot) - 1.5;
    const path = paths[index.requests.client[dot.request]];
    path.moveTo(x, y - radius);
    path.arc(x, y, radius, -TAU / 4, -TAU / 4 + TAU * clamp(dot.p, 0, 1));
  }
  pen.lineWidth = 2;
  paths.forEach((path, i) => {
    pen.strokeStyle = colours[i];
    pen.stroke(path);
  });
}

const slotRadius = (layout, dot) => (layout.boxes[dot.server].slots[dot.slot]?.size ?? 12) / 2;

function drawDots(pen, index, layout, moment, { theme, colours }) {
  const scale = clamp(layout.pitch / 44, 0.6, 1);
  for (const dot of moment.dots) {
    const { x, y, hidden } = placeOf(index, layout, dot);
    if (hidden) continue;
    const size = Math.sqrt(clamp(index.requests.size[dot.request] ?? 1, 0.25, 4));
    const colour = colours[index.requests.client[dot.request]];
    let radius = Math.max(2.4, DOT * scale * size);
    if (dot.phase === "work") radius = Math.max(2, Math.min(radius, slotRadius(layout, dot) - 4));
    if (dot.phase === "wait") radius = Math.min(radius, layout.spacing * 0.56);
    if (dot.phase === "fade") pen.globalAlpha = 1 - dot.p;
    const ended = dot.phase === "back" || dot.phase === "home" || dot.phase === "fade";
    const name = ended ? dot.outcome : index.film.kinds[index.attempts.kind[dot.attempt]];
    drawDot(pen, x, y, radius, colour, name, theme);
    pen.globalAlpha = 1;
  }
}
