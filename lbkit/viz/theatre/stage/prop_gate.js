// The gate: who waits, by priority, how many are let through at once, and how that limit moves.

const GATE_TALL = 128;
const GATE_LANE = 20;
const GATE_PILL = 4; // flights that a rejection is shown

const GATE_PROP = {
  height: (prop) => GATE_TALL + GATE_LANE * gateLanes(prop),

  draw(pen, { width, height }, prop, scene) {
    const now = gateAt(prop, scene.t);
    const lanes = { x: 0, y: 8, width, height: GATE_LANE * gateLanes(prop), gate: width * 0.5 };
    if (rejectsOnly(prop, now)) drawChance(pen, lanes, now, scene.look.theme);
    else drawGateQueue(pen, lanes, prop, now, scene);
    drawBarrier(pen, lanes, now, scene.look.theme);
    drawRunning(pen, lanes, prop, now, scene);
    drawRejected(pen, lanes, prop, scene);
    const y = lanes.y + lanes.height + 24;
    const frame = { x: 0, y, width, height: height - y - 34 };
    if (prop.target === null) drawGateCurve(pen, frame, prop, scene);
    else drawWaits(pen, frame, prop, scene);
  },

  words(prop, { t }) {
    const now = gateAt(prop, t);
    const oldest = Math.min(...waitingAt(prop.entries, t).map((i) => prop.entries.at[i]));
    const target = prop.target === null ? "" : `, target ${briefSeconds(prop.target)}`;
    const waits = oldest < Infinity ? ` (oldest ${briefSeconds(t - oldest)}${target})` : "";
    const chance = prop.control ? `; rejects ${Math.round(100 * now.chance)} %` : "";
    const queue = rejectsOnly(prop, now) ? "" : `; ${now.waiting} wait${waits}`;
    return `${atOnce(now)}${queue}${chance}; ${now.refused.toLocaleString("en")} rejected`;
  },
};

const gateLanes = (prop) => Math.max(1, prop.classes.length);
// Admission control without a limit or a rate: nothing ever waits.
const rejectsOnly = (prop, now) => prop.control && now.limit === null && prop.rate === null;
const atOnce = (now) => (now.limit === null ? `${now.running} at once` : `${now.running} of ${Math.floor(now.limit)} at once`);

function gateAt({ levels }, t) {
  const last = until(levels.at, t) - 1;
  if (last < 0) return { running: 0, waiting: 0, limit: levels.limit[0] ?? null, chance: 0, refused: 0 };
  return Object.fromEntries(Object.entries(levels).map(([name, column]) => [name, column[last]]));
}

const gateLaneY = (lanes, priority) => lanes.y + GATE_LANE * (priority + 0.5);

// The next to go is the nearest to the gate.
function drawGateQueue(pen, lanes, prop, now, scene) {
  const { theme } = scene.look;
  const { entries, classes } = prop;
  const label = classes.length > 1 ? 52 : 0;
  const pitch = 11;
  const places = Math.max(1, Math.floor((lanes.gate - 16 - label) / pitch));
  const taken = classes.length ? classes.map(() => 0) : [0];
  for (let lane = 0; lane < gateLanes(prop); lane++) {
    rounded(pen, label, gateLaneY(lanes, lane) - 8, lanes.gate - 10 - label, 16, 4);
    pen.fillStyle = theme.slot;
    pen.fill();
    if (!label) continue;
    pen.font = font(11);
    pen.fillStyle = theme.faint;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(classes[lane], 0, gateLaneY(lanes, lane) + 0.5);
  }
  for (const i of waitingAt(entries, scene.t)) {
    const place = taken[entries.priority[i]]++;
    if (place >= places) continue;
    smallDot(pen, lanes.gate - 17 - place * pitch, gateLaneY(lanes, entries.priority[i]), 4.4, clientColour(scene, entries.request[i]));
  }
  const shown = taken.reduce((sum, count) => sum + Math.min(count, places), 0);
  if (shown < now.waiting) queueNumber(pen, label + 14, gateLaneY(lanes, 0), now.waiting, theme);
}

// The share of those that come that is rejected.
function drawChance(pen, lanes, { chance }, theme) {
  const y = gateLaneY(lanes, 0) - 8;
  const width = lanes.gate - 10;
  rounded(pen, 0, y, width, 16, 4);
  pen.fillStyle = theme.slot;
  pen.fill();
  rounded(pen, width * (1 - chance), y, width * chance, 16, 4);
  pen.fillStyle = theme.failed;
  pen.globalAlpha = 0.35;
  pen.fill();
  pen.globalAlpha = 1;
  pen.font = font(11, 600);
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillStyle = theme.ink;
  pen.fillText(`rejects ${Math.round(100 * chance)} %`, 8, y + 8.5);
}

// Open while there is room.
function drawBarrier(pen, { gate, y, height }, now, theme) {
  const open = now.limit === null || now.running < Math.floor(now.limit);
  pen.lineWidth = 4;
  pen.lineCap = "round";
  pen.strokeStyle = open ? theme.line : theme.failed;
  pen.beginPath();
  pen.moveTo(gate, y + height);
  if (open) pen.lineTo(gate + 9, y + 2);
  else pen.lineTo(gate, y);
  pen.stroke();
  pen.lineCap = "butt";
}

// A box for each request that may run at once.
function drawRunning(pen, lanes, prop, now, { look }) {
  const { theme } = look;
  const x = lanes.gate + 18;
  const room = lanes.width - x;
  const rows = Math.max(1, Math.floor(lanes.height / 14));
  const columns = Math.max(1, Math.floor(room / 14));
  const most = Math.max(now.running, Math.floor(now.limit ?? now.running));
  const size = Math.min(11, (room / Math.ceil(most / rows || 1)) - 2);
  const perRow = Math.max(1, Math.min(Math.ceil(most / rows), columns));
  if (size < 5) return shareBar(pen, x, lanes, room, now, look);
  for (let i = 0; i < most; i++) {
    const boxY = lanes.y + 1 + Math.floor(i / perRow) * 14;
    rounded(pen, x + (i % perRow) * Math.min(14, size + 3), boxY, size, 11, 2.5);
    pen.fillStyle = i < now.running ? theme.faint : theme.slot;
    pen.fill();
  }
}

function shareBar(pen, x, lanes, room, now, { theme }) {
  const y = gateLaneY(lanes, 0) - 7;
  rounded(pen, x, y, room, 14, 4);
  pen.fillStyle = theme.slot;
  pen.fill();
  rounded(pen, x, y, room * clamp(now.running / (now.limit ?? now.running ?? 1), 0, 1), 14, 4);
  pen.fillStyle = theme.faint;
  pen.fill();
}

// Why a request was rejected, where it stood.
function drawRejected(pen, lanes, prop, { t, index, look }) {
  const { entries, hows } = prop;
  const shown = numbersWithin(entries.out, t - GATE_PILL * index.flight, t).filter((i) => hows[entries.how[i]] !== "admitted");
  shown.slice(-6).forEach((i) => {
    const p = (t - entries.out[i]) / (GATE_PILL * index.flight);
    const how = hows[entries.how[i]];
    pen.globalAlpha = 1 - ease(2 * p - 1);
    const x = lanes.gate - 40 - 34 * (i % Math.max(1, Math.min(4, Math.floor((lanes.gate - 100) / 34))));
    pill(pen, x, gateLaneY(lanes, entries.priority[i]) + 14 * ease(p), how, look.theme[how === "left" ? "faint" : "failed"], look.theme, 2);
    pen.globalAlpha = 1;
  });
}

const highestLevel = ({ levels }) => Math.max(1, ...levels.running, ...levels.limit);
const longestWait = ({ target, entries }) => Math.max(3 * target, ...entries.at.map((at, i) => (entries.out[i] ?? at) - at));

// The limit and the requests at once over the last seconds, with a cross below for each rejection.
function drawGateCurve(pen, frame, prop, scene) {
  const { theme } = scene.look;
  const { levels, entries, hows } = prop;
  const span = shownSpan(scene.index);
  const most = prepared(prop, highestLevel);
  const place = curveFrame(pen, frame, span, most * 1.1, scene);
  if (levels.at.length) {
    drawCurveLine(pen, place, levels.at, levels.running, span, scene, { line: theme.faint, fill: theme.faint, width: 1 }, true);
    if (prop.control) drawCurveLine(pen, { ...place, y: chanceY(frame) }, levels.at, levels.chance, span, scene, { line: theme.failed, width: 2 }, true);
    if (levels.limit[0] !== null) drawCurveLine(pen, place, levels.at, levels.limit, span, scene, { line: theme.ink, width: 2 }, true);
  }
  const from = Math.max(scene.t - span, scene.index.begin);
  for (const i of numbersWithin(entries.out, from, scene.t))
    if (hows[entries.how[i]] !== "admitted") smallCross(pen, place.x(entries.out[i]), frame.y + frame.height + 8, 2.8, theme.failed);
  const names = [["at once", theme.faint]];
  if (levels.limit[0] !== null) names.push(["limit", theme.ink]);
  if (prop.control) names.push(["share rejected", theme.failed]);
  gateNames(pen, frame, names);
}

// For CoDel: how long each had waited that was let through (a dot) or dropped (a cross), and the target.
function drawWaits(pen, frame, prop, scene) {
  const { theme } = scene.look;
  const { entries, hows, target } = prop;
  const span = shownSpan(scene.index);
  const waits = numbersWithin(entries.out, Math.max(scene.t - span, scene.index.begin), scene.t);
  const most = prepared(prop, longestWait);
  const place = curveFrame(pen, frame, span, most, scene);
  dashed(pen, frame.x, place.y(target), frame.x + frame.width, place.y(target), theme.ink);
  for (const i of waits) {
    const [x, y] = [place.x(entries.out[i]), place.y(entries.out[i] - entries.at[i])];
    if (hows[entries.how[i]] === "admitted") smallDot(pen, x, y, 2.6, clientColour(scene, entries.request[i]));
    else smallCross(pen, x, y, 3.2, theme.failed);
  }
  gateNames(pen, frame, [[`waits of up to ${briefSeconds(most)}; the line: the target`, theme.faint]]);
}

const chanceY = (frame) => (share) => frame.y + frame.height * (1 - clamp(share, 0, 1));

function gateNames(pen, { x, y, width }, names) {
  pen.font = font(11, 600);
  pen.textAlign = "right";
  pen.textBaseline = "alphabetic";
  let right = x + width;
  for (const [name, colour] of names) {
    pen.fillStyle = colour;
    pen.fillText(name, right, y - 5);
    right -= pen.measureText(name).width + 12;
  }
}
