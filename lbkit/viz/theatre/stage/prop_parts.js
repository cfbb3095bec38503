// Parts that props share: cells side by side, a curve of the last seconds, requests that come and go.

const PROP_GAP = 18;

// The cells of a prop, as equal columns and rows: {x, y, width, height} of each.
function propCells(count, width, height, least) {
  const columns = propColumns(count, width, least);
  const wide = (width - (columns - 1) * PROP_GAP) / columns;
  return Array.from({ length: count }, (_, i) => ({
    x: (i % columns) * (wide + PROP_GAP),
    y: Math.floor(i / columns) * height,
    width: wide,
    height,
  }));
}

function propColumns(count, width, least) {
  const most = clamp(Math.floor((width + PROP_GAP) / (least + PROP_GAP)), 1, count);
  return Math.ceil(count / Math.ceil(count / most)); // four in two rows of two, not three and one
}

const propRows = (count, width, least) => Math.ceil(count / propColumns(count, width, least));

// The value of a column at t, on straight lines between points; of two points at one moment the later one.
function lineAt(times, values, t) {
  const next = until(times, t);
  if (next === 0) return values[0] ?? 0;
  if (next === times.length) return values[next - 1];
  const [from, to] = [times[next - 1], times[next]];
  return mix(values[next - 1], values[next], (t - from) / (to - from || 1));
}

// The seconds that a curve shows: about twenty on the screen at the usual speed, and `least`.
const shownSpan = ({ film, begin, end }, least = 0) => Math.min(Math.max(20 * film.pace, least), end - begin) || 1;

// Call `visit` with each number of sorted `times` from `from` to `to`.
function eachWithin(times, from, to, visit) {
  for (let i = until(times, from); i < times.length && times[i] <= to; i++) visit(i);
}

// A frame for a curve of the last `span` seconds; returns where a time and a value are in it.
function curveFrame(pen, box, span, most, scene) {
  const { theme } = scene.look;
  const bottom = box.y + box.height;
  pen.strokeStyle = theme.hair;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(box.x, bottom + 0.5);
  pen.lineTo(box.x + box.width, bottom + 0.5);
  pen.stroke();
  pen.font = font(10);
  pen.fillStyle = theme.faint;
  pen.textBaseline = "top";
  pen.textAlign = "left";
  if (box.width > 70) pen.fillText(`−${brief(+span.toPrecision(2))} s`, box.x, bottom + 16);
  pen.textAlign = "right";
  pen.fillText("now", box.x + box.width, bottom + 16);
  return {
    x: (time) => box.x + box.width * (1 - (scene.t - time) / span),
    y: (value) => bottom - box.height * clamp(value / (most || 1), 0, 1.08),
  };
}

// A column as an area below its line, over the last `span` seconds; `steps`: level between its points.
function drawCurveLine(pen, place, times, values, span, scene, style, steps = false) {
  const { t, index } = scene;
  const from = Math.max(t - span, index.begin);
  const valueAt = steps ? (time) => values[Math.max(0, until(times, time) - 1)] ?? 0 : (time) => lineAt(times, values, time);
  let last = valueAt(from);
  pen.beginPath();
  pen.moveTo(place.x(from), place.y(last));
  eachWithin(times, from, t, (i) => {
    if (steps) pen.lineTo(place.x(times[i]), place.y(last));
    pen.lineTo(place.x(times[i]), place.y((last = values[i])));
  });
  pen.lineTo(place.x(t), place.y(valueAt(t)));
  pen.lineJoin = "round";
  pen.lineWidth = style.width ?? 1.5;
  pen.strokeStyle = style.line;
  pen.stroke();
  if (!style.fill) return;
  pen.lineTo(place.x(t), place.y(0));
  pen.lineTo(place.x(from), place.y(0));
  pen.fillStyle = style.fill;
  pen.globalAlpha = style.alpha ?? 0.18;
  pen.fill();
  pen.globalAlpha = 1;
}

function dashed(pen, x, y, toX, toY, colour) {
  pen.setLineDash([3, 3]);
  pen.lineWidth = 1;
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  pen.stroke();
  pen.setLineDash([]);
}

const clientColour = ({ index, look }, request) => look.colours[index.requests.client[request]];

function smallDot(pen, x, y, radius, colour) {
  circle(pen, x, y, radius);
  pen.fillStyle = colour;
  pen.fill();
}

const smallCross = (pen, x, y, far, colour) => cross(pen, x, y, far, colour, 1.6);

// The name of a cell, and what is said of it at the right.
function cellHead(pen, { x, y, width }, name, said, theme) {
  pen.textBaseline = "alphabetic";
  pen.textAlign = "right";
  pen.font = font(12);
  pen.fillStyle = theme.ink;
  pen.fillText(said, x + width, y + 12);
  const room = width - pen.measureText(said).width - 8;
  pen.textAlign = "left";
  pen.font = font(12, 650);
  if (room > 16) pen.fillText(fitted(pen, name, room), x, y + 12);
}

// Seconds as one says them: 1.5 s, 0.08 s.
const briefSeconds = (time) => `${+time.toPrecision(time < 1 ? 1 : 2)} s`;
const oneDigit = (value) => (Math.round(value * 10) / 10).toLocaleString("en", { minimumFractionDigits: Number.isInteger(value) ? 0 : 1 });
