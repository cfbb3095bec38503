// Shaping: requests come as they come, wait in a queue, and leave at a steady rate.

const SHAPER_TALL = 118;
const SHAPER_LEAST = 240;

const SHAPER_PROP = {
  height: ({ cells }, width) => SHAPER_TALL * propRows(cells.length, width, SHAPER_LEAST),

  draw(pen, { width }, prop, scene) {
    const boxes = propCells(prop.cells.length, width, SHAPER_TALL, SHAPER_LEAST);
    boxes.forEach((box, i) => drawShaperCell(pen, box, prop, prop.cells[i], scene));
  },

  words({ cells, more }, { t }) {
    const said = cells.map((cell) => {
      const next = Math.min(...waitingAt(cell, t).map((i) => cell.out[i] ?? Infinity));
      const soon = next < Infinity ? `; the next leaves in ${briefSeconds(next - t)}` : "";
      const name = cells.length > 1 ? `${cell.key}: ` : "";
      return `${name}${waitingAt(cell, t).length} wait, room for ${brief(cell.limit)}${soon}`;
    });
    if (more) said.push(`${plural(more, "more key")} not shown`);
    return said.join(" · ");
  },
};

// The numbers of the requests that wait at t, the next one to leave first.
function waitingAt({ at, out }, t) {
  const found = [];
  for (let i = until(at, t) - 1; i >= 0; i--) if (t < (out[i] ?? Infinity)) found.push(i);
  return found.sort((a, b) => (out[a] ?? Infinity) - (out[b] ?? Infinity) || a - b);
}

// The numbers of a column that is not sorted, from `from` to `to`.
function numbersWithin(times, from, to) {
  const found = [];
  times.forEach((time, i) => time !== null && time > from && time <= to && found.push(i));
  return found;
}

function drawShaperCell(pen, box, prop, cell, scene) {
  const { t, look, index } = scene;
  const waiting = waitingAt(cell, t);
  const name = prop.cells.length > 1 || cell.key !== "all requests" ? cell.key : "";
  cellHead(pen, box, name, "", look.theme);
  const lane = shaperLane(box, cell, index);
  drawPipe(pen, lane, look.theme);
  drawComing(pen, lane, cell, scene);
  drawWaiting(pen, lane, cell, waiting, prop, scene);
  drawLeaving(pen, lane, cell, prop, scene);
  drawShaperRates(pen, box, lane, cell, prop, scene);
}

// From left to right: coming, the queue with its end, the nozzle, leaving.
function shaperLane(box, cell, index) {
  const y = box.y + 52;
  const nozzle = box.x + box.width * 0.64;
  const room = box.width * 0.34;
  const pitch = clamp(room / Math.max(1, cell.limit), 7, 14);
  const places = Math.max(1, Math.min(cell.limit, Math.floor(room / pitch)));
  const span = Math.min(shownSpan(index) / 2, Math.max(6 * index.film.pace, 6 / cell.rate));
  return { box, y, nozzle, pitch, places, tail: nozzle - 10 - places * pitch, span, ends: places >= cell.limit };
}

function drawPipe(pen, { box, y, nozzle, tail, ends }, theme) {
  pen.fillStyle = theme.slot;
  rounded(pen, tail, y - 11, nozzle - 8 - tail, 22, 4);
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = theme.line;
  for (const side of [-1, 1]) {
    pen.beginPath();
    pen.moveTo(tail, y + side * 12);
    pen.lineTo(nozzle - 8, y + side * 12);
    pen.lineTo(nozzle + 4, y + side * 6.5);
    pen.lineTo(nozzle + 12, y + side * 6.5);
    pen.stroke();
  }
  if (ends) dashed(pen, tail, y - 18, tail, y + 18, theme.line);
  pen.strokeStyle = theme.hair;
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(box.x, y);
  pen.lineTo(tail - 6, y);
  pen.moveTo(nozzle + 14, y);
  pen.lineTo(box.x + box.width, y);
  pen.stroke();
}

function drawComing(pen, lane, cell, scene) {
  const wide = lane.tail - 6 - lane.box.x;
  eachWithin(cell.at, scene.t, scene.t + lane.span, (i) => {
    const x = lane.tail - 6 - (wide * (cell.at[i] - scene.t)) / lane.span;
    smallDot(pen, x, lane.y, 4.5, clientColour(scene, cell.request[i]));
  });
}

// Those behind move up while one goes through the nozzle.
function drawWaiting(pen, lane, cell, waiting, prop, scene) {
  const { t, index, look } = scene;
  const left = numbersWithin(cell.out, t - index.flight, t).filter((i) => prop.hows[cell.how[i]] === "admitted" && cell.out[i] > cell.at[i]);
  const last = Math.max(...left.map((i) => cell.out[i]), -Infinity);
  const moving = 1 - ease((t - last) / index.flight);
  waiting.slice(0, lane.places).forEach((i, place) => {
    const x = lane.nozzle - 10 - (place + 0.5 + (last > -Infinity ? moving : 0)) * lane.pitch;
    smallDot(pen, Math.max(x, lane.tail + 3), lane.y, Math.min(5, lane.pitch * 0.42), clientColour(scene, cell.request[i]));
  });
  if (waiting.length > lane.places) queueNumber(pen, lane.tail + 14, lane.y, waiting.length, look.theme);
}

function queueNumber(pen, x, y, count, theme) {
  pill(pen, x, y, count.toLocaleString("en"), theme.ink, theme, 7);
}

// A steady stream; and what is turned away at the end of the queue, or out of it.
function drawLeaving(pen, lane, cell, prop, scene) {
  const { t, index, look } = scene;
  const wide = lane.box.x + lane.box.width - lane.nozzle - 14;
  for (const i of numbersWithin(cell.out, t - Math.max(lane.span, 3 * index.flight), t)) {
    const passed = t - cell.out[i];
    const how = prop.hows[cell.how[i]];
    if (how === "admitted") {
      if (passed < lane.span) smallDot(pen, lane.nozzle + 14 + (wide * passed) / lane.span, lane.y, 4.5, clientColour(scene, cell.request[i]));
    } else if (passed < 3 * index.flight) {
      const p = passed / (3 * index.flight);
      pen.globalAlpha = 1 - ease(2 * p - 1);
      const [text, tone] = how === "denied" ? ["429", "warned"] : how === "left" ? ["left", "faint"] : [how, "failed"];
      pill(pen, lane.tail + (how === "late" ? 30 : -8), lane.y + 18 + 12 * ease(p), text, look.theme[tone], look.theme, how === "denied" ? 8 : 2);
      pen.globalAlpha = 1;
    }
  }
}

// Requests a second, before and behind: over a second of the run, or what a curve shows.
function drawShaperRates(pen, box, lane, cell, prop, { t, look, index }) {
  const span = Math.min(Math.max(1, 4 / cell.rate), t - index.begin || 1);
  const come = until(cell.at, t) - until(cell.at, t - span);
  const gone = numbersWithin(cell.out, t - span, t).filter((i) => prop.hows[cell.how[i]] === "admitted").length;
  pen.font = font(11);
  pen.textBaseline = "alphabetic";
  pen.fillStyle = look.theme.faint;
  const y = box.y + box.height - 10;
  pen.textAlign = "left";
  pen.fillText(`in ${brief(Math.round(come / span))}/s`, box.x, y);
  pen.textAlign = "right";
  pen.fillText(`out ${brief(Math.round(gone / span))}/s`, box.x + box.width, y);
  pen.textAlign = "center";
  pen.fillText(`${brief(cell.rate)}/s`, lane.nozzle + 2, lane.y - 20);
}
