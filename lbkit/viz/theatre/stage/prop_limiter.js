// Rate limits: a vessel with its level for each key, each request that passes or is denied, and the last seconds.

const LIMITER_TALL = 150;
const LIMITER_LEAST = 150; // pixels of a cell
const LIMITER_NAME = 15; // of a line for what it is, where cells differ
const MOST_DISCS = 24; // that are drawn one by one

const LIMITER_PROP = {
  height: ({ cells }, width) => limiterTall(cells) * propRows(cells.length, width, LIMITER_LEAST),

  draw(pen, { width }, { cells }, scene) {
    const boxes = propCells(cells.length, width, limiterTall(cells), LIMITER_LEAST);
    boxes.forEach((box, i) => drawLimiterCell(pen, box, cells[i], scene));
  },

  words({ cells, more }, scene) {
    const said = cells.map((cell) => (cells.length > 1 ? `${cell.key}: ` : "") + limiterWords(cell, scene));
    if (more) said.push(`${plural(more, "more key")} not shown`);
    return said.join(" · ");
  },
};

const limiterTall = (cells) => LIMITER_TALL + (cells.some(({ name }) => name) ? LIMITER_NAME : 0);

// What the level of each shape is called, and what one waits for.
const LIMITER_SAID = {
  bucket: { level: (level, { limit }) => `${level} of ${brief(limit)} tokens`, wait: "next" },
  meter: { level: (level, { limit }) => `filled to ${level} of ${brief(limit)}`, wait: "room" },
  window: { level: (level, { limit }) => `${level} of ${brief(limit)} in this window`, wait: "next window" },
  log: { level: (level, { limit, window }) => `${level} of ${brief(limit)} in the last ${brief(window)} s`, wait: "next" },
  counter: { level: (level, { limit, window }) => `about ${level} of ${brief(limit)} in the last ${brief(window)} s`, wait: "next" },
};

// Not 1.0 tokens while one still waits for the first: what is left is rounded down, what is used up.
function limiterLevel(cell, t) {
  const tenths = 10 * lineAt(cell.at, cell.level, t);
  return oneDigit((cell.shape === "bucket" ? Math.floor(tenths + 1e-3) : Math.max(0, Math.ceil(tenths - 1e-3))) / 10);
}

function limiterWords(cell, scene) {
  if (!(cell.shape in LIMITER_SAID)) return decisionWords(cell, scene);
  const { level, wait } = LIMITER_SAID[cell.shape];
  const waits = lineAt(cell.at, cell.wait, scene.t);
  const next = waits > 1e-4 ? `; ${wait} in ${briefSeconds(waits)}` : "";
  return level(limiterLevel(cell, scene.t), cell) + next;
}

// The requests at a limiter; of a running session those on the stage, by their answers.
function askedOf(cell, { index, t }) {
  if (cell.asked) return cell.asked;
  const { sent, client, status } = index.requests;
  const found = { at: [], request: [], ok: [] };
  eachWithin(sent, t - shownSpan(index), t + index.flight, (i) => {
    if (cell.lane !== null && client[i] !== cell.lane) return;
    found.at.push(sent[i]);
    found.request.push(i);
    found.ok.push(status[i] === 429 ? 0 : 1);
  });
  return found;
}

function decisionWords(cell, scene) {
  const { index, t } = scene;
  const asked = askedOf(cell, scene);
  const span = shownSpan(index);
  const counts = [0, 0];
  eachWithin(asked.at, t - span, t, (i) => counts[asked.ok[i]]++);
  return `${counts[1]} admitted, ${counts[0]} denied in the last ${brief(+span.toPrecision(2))} s`;
}

function drawLimiterCell(pen, whole, cell, scene) {
  const { theme } = scene.look;
  const known = cell.shape in LIMITER_SAID;
  const level = known ? lineAt(cell.at, cell.level, scene.t) : 0;
  cellHead(pen, whole, cell.key, known ? `${limiterLevel(cell, scene.t)} of ${brief(cell.limit)}` : "", theme);
  const box = cell.name ? limiterName(pen, whole, cell.name, theme) : whole;
  const zone = clamp(box.width * 0.36, 72, 116);
  const vessel = { x: box.x + zone / 2 - 23, y: box.y + 54, width: 46, height: box.height - 54 - 30 };
  if (known) VESSELS[cell.shape](pen, vessel, cell, level, scene);
  else drawUnknown(pen, vessel, theme);
  drawDecisions(pen, box, zone, cell, scene);
  drawLimiterCurve(pen, { x: box.x + zone + 6, y: box.y + 26, width: box.width - zone - 6, height: box.height - 64 }, cell, scene);
}

// What it is, in a line of its own; returns the rest of the box.
function limiterName(pen, box, name, theme) {
  pen.font = font(11);
  pen.fillStyle = theme.faint;
  pen.textAlign = "left";
  pen.fillText(fitted(pen, name, box.width), box.x, box.y + LIMITER_NAME + 11);
  return { ...box, y: box.y + LIMITER_NAME, height: box.height - LIMITER_NAME };
}

const VESSELS = {
  bucket(pen, vessel, cell, level, scene) {
    const { theme } = scene.look;
    if (cell.limit > MOST_DISCS) fillVessel(pen, vessel, level / cell.limit, theme);
    else drawDiscs(pen, vessel, cell.limit, Math.floor(level + 1e-6), () => theme.blue, theme);
    outlineBucket(pen, vessel, theme);
    if (level < cell.limit) drawTap(pen, vessel, level - Math.floor(level), theme);
  },
  meter(pen, vessel, cell, level, scene) {
    const { theme } = scene.look;
    fillVessel(pen, vessel, level / cell.limit, theme);
    outlineBucket(pen, vessel, theme);
    if (level > 0) drawLeak(pen, vessel, (scene.t * cell.rate) % 1, theme);
  },
  window(pen, vessel, cell, level, scene) {
    drawCount(pen, vessel, cell, level, scene);
    // A full window is shut until the next one: how much of it is over.
    const over = (scene.t % cell.window) / cell.window;
    pen.fillStyle = scene.look.theme.line;
    pen.fillRect(vessel.x, vessel.y + vessel.height + 5, vessel.width * over, 3);
  },
  log: (pen, vessel, cell, level, scene) => drawCount(pen, vessel, cell, level, scene),
  counter(pen, vessel, cell, level, scene) {
    fillVessel(pen, vessel, level / cell.limit, scene.look.theme);
    outlineBox(pen, vessel, scene.look.theme);
  },
};

// The requests that count, one disc each, in the colours of their clients.
function drawCount(pen, vessel, cell, level, scene) {
  const { theme } = scene.look;
  if (cell.limit > MOST_DISCS) fillVessel(pen, vessel, level / cell.limit, theme);
  else {
    const count = Math.round(level);
    const recent = [];
    for (let i = until(cell.asked.at, scene.t) - 1; i >= 0 && recent.length < count; i--)
      if (cell.asked.ok[i]) recent.push(cell.asked.request[i]);
    recent.reverse();
    drawDiscs(pen, vessel, cell.limit, count, (i) => (i in recent ? clientColour(scene, recent[i]) : theme.faint), theme);
  }
  outlineBox(pen, vessel, theme);
}

// Places for all, from the ground up; the first `count` are taken.
function drawDiscs(pen, { x, y, width, height }, limit, count, colourOf, theme) {
  const places = Math.ceil(limit);
  const columns = places <= 6 ? 2 : places <= 12 ? 3 : 4;
  const pitch = Math.min(16, (width - 6) / columns, (height - 6) / Math.ceil(places / columns));
  const left = x + width / 2 - (columns * pitch) / 2;
  for (let i = 0; i < places; i++) {
    const [placeX, placeY] = [left + ((i % columns) + 0.5) * pitch, y + height - 4 - (Math.floor(i / columns) + 0.5) * pitch];
    if (i < count) smallDot(pen, placeX, placeY, pitch * 0.4, colourOf(i));
    else smallDot(pen, placeX, placeY, Math.max(1, pitch * 0.12), theme.line);
  }
}

function fillVessel(pen, { x, y, width, height }, share, theme) {
  const tall = height * clamp(share, 0, 1);
  pen.fillStyle = theme.blue;
  pen.globalAlpha = 0.35;
  pen.fillRect(x + 1, y + height - tall, width - 2, tall);
  pen.globalAlpha = 1;
  pen.fillRect(x + 1, y + height - tall - 1, width - 2, 2);
}

function outlineBucket(pen, { x, y, width, height }, theme) {
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.strokeStyle = theme.line;
  pen.beginPath();
  pen.moveTo(x - 4, y - 3);
  pen.lineTo(x, y);
  pen.lineTo(x, y + height);
  pen.lineTo(x + width, y + height);
  pen.lineTo(x + width, y);
  pen.lineTo(x + width + 4, y - 3);
  pen.stroke();
}

// A box with an open top and the line of its limit.
function outlineBox(pen, { x, y, width, height }, theme) {
  pen.lineWidth = 2;
  pen.strokeStyle = theme.line;
  pen.strokeRect(x, y, width, height);
}

// The next token: a ring that closes.
function drawTap(pen, { x, width, y }, share, theme) {
  const [middleX, middleY] = [x + width / 2, y - 7];
  pen.lineWidth = 2;
  pen.strokeStyle = theme.hair;
  circle(pen, middleX, middleY, 4.5);
  pen.stroke();
  pen.strokeStyle = theme.blue;
  pen.beginPath();
  pen.arc(middleX, middleY, 4.5, -TAU / 4, -TAU / 4 + TAU * share);
  pen.stroke();
}

function drawLeak(pen, { x, y, width, height }, share, theme) {
  pen.fillStyle = theme.blue;
  pen.fillRect(x + width / 2 - 2, y + height, 4, 3);
  smallDot(pen, x + width / 2, y + height + 5 + 12 * share * share, 2.4, theme.blue);
}

// A limiter that the stage does not know: a door.
function drawUnknown(pen, { x, y, width, height }, theme) {
  rounded(pen, x, y, width, height, 6);
  pen.fillStyle = theme.panel;
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = theme.line;
  pen.stroke();
  pen.fillStyle = theme.faint;
  pen.font = font(20, 600);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText("?", x + width / 2, y + height / 2);
}

// Requests come to the mouth from the left, and go on to the right, or back with a 429.
function drawDecisions(pen, box, zone, cell, scene) {
  const { t, index, look } = scene;
  const asked = askedOf(cell, scene);
  const mouth = box.x + zone / 2;
  const y = box.y + 32;
  eachWithin(asked.at, t - 2 * index.flight, t + index.flight, (i) => {
    const p = (t - asked.at[i]) / index.flight;
    const colour = clientColour(scene, asked.request[i]);
    if (p < 0) smallDot(pen, mix(box.x + 4, mouth, 1 + p), y, 4.5, colour);
    else if (!asked.ok[i]) {
      pen.globalAlpha = 1 - ease((p - 1) / 1);
      pill(pen, mix(mouth, box.x + 14, ease(p / 2)), y, "429", look.theme.warned, look.theme, 8);
      pen.globalAlpha = 1;
    } else if (p < 1) {
      const x = mix(mouth, box.x + zone - 4, p);
      if (cell.shape === "bucket") smallDot(pen, x, y + 7, 3.4, look.theme.blue); // with its token
      smallDot(pen, x, y, 4.5, colour);
    }
  });
}

// The level over the last seconds, with a dot below it for each request admitted, and a cross for each denied.
function drawLimiterCurve(pen, frame, cell, scene) {
  const { theme } = scene.look;
  const span = shownSpan(scene.index, cell.window ? 2.5 * cell.window : cell.rate ? 3 / cell.rate : 0);
  const place = curveFrame(pen, frame, span, cell.limit, scene);
  if (cell.at.length) {
    drawWindows(pen, frame, place, cell, span, scene);
    dashed(pen, frame.x, place.y(cell.limit), frame.x + frame.width, place.y(cell.limit), theme.line);
    drawCurveLine(pen, place, cell.at, cell.level, span, scene, { line: theme.blue, fill: theme.blue });
  }
  const asked = askedOf(cell, scene);
  const bottom = frame.y + frame.height;
  const lanes = cell.at.length ? [bottom + 8, bottom + 8] : [bottom - frame.height * 0.3, bottom - frame.height * 0.7];
  eachWithin(asked.at, Math.max(scene.t - span, scene.index.begin), scene.t, (i) => {
    const x = place.x(asked.at[i]);
    if (asked.ok[i]) smallDot(pen, x, lanes[1], 2.2, clientColour(scene, asked.request[i]));
    else smallCross(pen, x, lanes[0], 2.8, theme.warned);
  });
  if (!cell.at.length) laneNames(pen, frame, lanes, theme);
}

function laneNames(pen, { x }, lanes, theme) {
  pen.font = font(10);
  pen.fillStyle = theme.faint;
  pen.textAlign = "left";
  pen.textBaseline = "alphabetic";
  ["denied", "admitted"].forEach((name, i) => pen.fillText(name, x, lanes[i] - 7));
}

// Boundaries of calendar windows, or the window that slides.
function drawWindows(pen, frame, place, cell, span, { t, look, index }) {
  if (!cell.window) return;
  const from = Math.max(t - span, index.begin);
  if (cell.shape === "log") {
    pen.fillStyle = look.theme.slot;
    pen.globalAlpha = 0.6;
    const x = place.x(Math.max(from, t - cell.window));
    pen.fillRect(x, frame.y, frame.x + frame.width - x, frame.height);
    pen.globalAlpha = 1;
    return;
  }
  for (let k = Math.ceil(from / cell.window); k * cell.window <= t; k++)
    dashed(pen, place.x(k * cell.window), frame.y, place.x(k * cell.window), frame.y + frame.height, look.theme.line);
}
