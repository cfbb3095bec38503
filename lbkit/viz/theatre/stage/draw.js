// The whole picture: ways, clients, balancer, servers, and the dots on top.

function draw(pen, index, layout, moment, look) {
  pen.clearRect(0, 0, layout.width, layout.height);
  const marked = moment.servers.map(badges);
  drawWays(pen, layout, marked, look);
  drawClients(pen, index, layout, look);
  drawBalancer(pen, index, layout, moment, look);
  moment.servers.forEach((now, i) => drawServer(pen, index, layout, i, now, marked[i], look));
  drawDots(pen, index, layout, moment, look);
  drawQueueNumbers(pen, layout, moment, look);
  drawBreakers(pen, layout, moment, look);
  if (look.caption) drawScores(pen, index, layout, look);
}

// A cubic with these controls is the way that `along` goes.
function way(pen, from, to) {
  const third = (to.x - from.x) / 3;
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.bezierCurveTo(from.x + third, from.y, to.x - third, to.y, to.x, to.y);
  pen.stroke();
}

function drawWays(pen, layout, marked, { theme, caption, colour }) {
  pen.strokeStyle = theme.hair;
  pen.lineWidth = 1.5;
  for (const client of layout.clients) way(pen, client, gate(layout, "clients"));
  layout.boxes.forEach((box, i) => {
    const shut = marked[i].some((badge) => badge.shut);
    const chosen = caption?.chosen === i;
    pen.setLineDash(shut && !chosen ? [3, 5] : []);
    pen.strokeStyle = chosen ? colour : theme.hair;
    pen.lineWidth = chosen ? 3 : 1.5;
    way(pen, gate(layout, "servers"), { x: box.x, y: box.y + box.height / 2 });
    if (chosen) arrow(pen, box.x, box.y + box.height / 2, colour);
  });
  pen.setLineDash([]);
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
    if (layout.small) return;
    pen.font = font(12, 600);
    pen.fillStyle = theme.ink;
    pen.textAlign = "right";
    pen.fillText(fitted(pen, client.name, 50), x - radius - 6, y + 0.5);
  });
}

function drawBalancer(pen, index, layout, moment, { theme, colour, caption }) {
  const { x, y, width, height } = layout.balancer;
  rounded(pen, x, y, width, height, 12);
  pen.fillStyle = theme.panel;
  pen.fill();
  pen.lineWidth = 2.5;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  const middle = x + width / 2;
  pen.fillStyle = theme.faint;
  pen.font = font(layout.small ? 10 : 11);
  pen.fillText("balancer", middle, y + 20);
  pen.fillStyle = theme.ink;
  pen.font = font(layout.small ? 11 : 13, 650);
  const lines = wrapped(pen, index.film.policy.replaceAll("_", " "), width - 12).slice(0, 3);
  lines.forEach((line, i) => pen.fillText(fitted(pen, line, width - 8), middle, y + 38 + 16 * i));
  const shown = layout.small ? 0 : moment.held - 2 * Math.floor((width - 16) / 12);
  if (caption?.places > 1) drawDial(pen, middle, y + 38 + 16 * lines.length + 4, caption, theme, colour);
  if (shown > 0) {
    pen.font = font(11, 650);
    pen.fillStyle = theme.ink;
    pen.fillText(`${moment.held.toLocaleString("en")} held`, middle, y + height + 15);
  }
}

// The place of the choice among all places: of a turn, or on a ring.
function drawDial(pen, x, y, { place, places }, theme, colour) {
  const radius = 12;
  pen.lineWidth = 2;
  pen.strokeStyle = theme.line;
  circle(pen, x, y + radius, radius);
  pen.stroke();
  const angle = (place / places) * TAU - TAU / 4;
  circle(pen, x + radius * Math.cos(angle), y + radius + radius * Math.sin(angle), 3.5);
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
    const box = layout.boxes[i];
    const at = along(gate(layout, "servers"), { x: box.x, y: box.y + box.height / 2 }, 0.5);
    breaker(pen, at.x, at.y, change.state.replace("_", " "), theme);
  });
}

function drawDots(pen, index, layout, moment, { theme, colours }) {
  const scale = clamp(layout.pitch / 44, 0.62, 1);
  for (const dot of moment.dots) {
    const { x, y, hidden } = placeOf(index, layout, dot);
    if (hidden) continue;
    const size = Math.sqrt(clamp(index.requests.size[dot.request] ?? 1, 0.3, 5));
    const colour = colours[index.requests.client[dot.request]];
    let radius = DOT * scale * size;
    if (dot.phase === "work") radius = drawWork(pen, layout, dot, x, y, radius, colour);
    if (dot.phase === "wait") radius = Math.min(radius, layout.spacing * 0.55);
    if (dot.phase === "fade") pen.globalAlpha = 1 - dot.p;
    if (dot.phase === "back" || dot.phase === "home" || dot.phase === "fade")
      SYMBOLS[dot.outcome]?.(pen, x, y, radius, colour, theme);
    else request(pen, x, y, radius, colour, index.film.kinds[index.attempts.kind[dot.attempt]], theme);
    pen.globalAlpha = 1;
  }
}

function drawWork(pen, layout, dot, x, y, radius, colour) {
  const half = (layout.boxes[dot.server].slots[dot.slot]?.size ?? 12) / 2;
  const small = Math.min(radius, half - 4);
  if (dot.since >= 1) progress(pen, x, y, half - 1.5, dot.p, colour);
  return Math.max(2, small);
}
