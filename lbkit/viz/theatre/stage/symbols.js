// What a request, an answer and each kind of failure look like. Shapes differ, not only colours.

const TAU = 2 * Math.PI;

function circle(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, TAU);
}

function rounded(pen, x, y, width, height, radius) {
  pen.beginPath();
  pen.roundRect(x, y, width, height, radius);
}

// A request: a dot, with a ring for a retry, a diamond for a hedge, a square for a cache's own.
function request(pen, x, y, radius, colour, kind, theme) {
  pen.fillStyle = colour;
  if (kind === "hedge") {
    const far = radius * 1.5;
    pen.beginPath();
    pen.moveTo(x, y - far);
    pen.lineTo(x + far, y);
    pen.lineTo(x, y + far);
    pen.lineTo(x - far, y);
    pen.closePath();
  } else if (kind === "refresh") rounded(pen, x - radius, y - radius, 2 * radius, 2 * radius, 1.5);
  else circle(pen, x, y, radius);
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = theme.page;
  pen.stroke();
  if (kind !== "retry") return;
  pen.lineWidth = 1.6;
  pen.strokeStyle = colour;
  circle(pen, x, y, radius + 2.6);
  pen.stroke();
}

function cross(pen, x, y, far, colour, width) {
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(x - far, y - far);
  pen.lineTo(x + far, y + far);
  pen.moveTo(x + far, y - far);
  pen.lineTo(x - far, y + far);
  pen.stroke();
}

const SYMBOLS = {
  ok(pen, x, y, radius, colour, theme) {
    const ring = Math.max(2.4, radius * 0.72);
    circle(pen, x, y, ring);
    pen.fillStyle = theme.page;
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = colour;
    pen.stroke();
  },
  failed(pen, x, y, radius, colour, theme) {
    const far = Math.max(4, radius * 0.9);
    pen.lineCap = "round";
    for (const [width, ink] of [[5, theme.page], [2.8, theme.failed]]) {
      cross(pen, x, y, far, ink, width);
    }
    pen.lineCap = "butt";
  },
  timeout(pen, x, y, radius, colour, theme) {
    circle(pen, x, y, 6.5);
    pen.fillStyle = theme.page;
    pen.fill();
    pen.lineWidth = 1.8;
    pen.strokeStyle = theme.failed;
    pen.stroke();
    pen.beginPath(); // its hands
    pen.moveTo(x, y - 4);
    pen.lineTo(x, y);
    pen.lineTo(x + 3, y + 1.6);
    pen.stroke();
  },
  denied: (pen, x, y, radius, colour, theme) => pill(pen, x, y, "429", theme.warned, theme, 8),
  refused: (pen, x, y, radius, colour, theme) => pill(pen, x, y, "503", theme.failed, theme, 2),
  left: (pen, x, y, radius, colour, theme) => outline(pen, x, y, radius, theme.faint),
  cancelled(pen, x, y, radius, colour) {
    outline(pen, x, y, radius, colour);
    pen.beginPath(); // struck out
    pen.moveTo(x - radius - 2, y + radius + 2);
    pen.lineTo(x + radius + 2, y - radius - 2);
    pen.stroke();
  },
  unfinished() {},
};

// A request by the kind of its attempt, or what came back by its outcome.
function drawDot(pen, x, y, radius, colour, name, theme) {
  if (name in SYMBOLS) SYMBOLS[name](pen, x, y, radius, colour, theme);
  else request(pen, x, y, radius, colour, name, theme);
}

function outline(pen, x, y, radius, colour) {
  pen.setLineDash([2, 2]);
  pen.lineWidth = 1.5;
  pen.strokeStyle = colour;
  circle(pen, x, y, radius);
  pen.stroke();
  pen.setLineDash([]);
}

function pill(pen, x, y, text, colour, theme, radius) {
  pen.font = font(9, 700);
  const width = pen.measureText(text).width + 8;
  rounded(pen, x - width / 2, y - 7, width, 14, radius);
  pen.fillStyle = colour;
  pen.fill();
  pen.fillStyle = theme.page;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(text, x, y + 0.5);
}

// Contacts of a breaker on the way to a server: open, or nearly closed.
function breaker(pen, x, y, state, theme) {
  const colour = state === "open" ? theme.failed : theme.warned;
  circle(pen, x, y, 11);
  pen.fillStyle = theme.page;
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.fillStyle = colour;
  for (const side of [-5, 5]) {
    circle(pen, x + side, y + 2, 2);
    pen.fill();
  }
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - 5, y + 2);
  pen.lineTo(x + 4, y + (state === "open" ? -6 : -1.5));
  pen.stroke();
}

// A probe of a health check: a small card with a question, and with the answer on its way back.
function drawProbe(pen, x, y, outcome, theme) {
  const failed = outcome === "failed";
  rounded(pen, x - 7, y - 7, 14, 14, 3);
  pen.fillStyle = theme.page;
  pen.fill();
  pen.lineWidth = 1.6;
  pen.strokeStyle = failed ? theme.failed : outcome ? theme.blue : theme.faint;
  pen.stroke();
  if (outcome) return checkMark(pen, x, y, !failed, theme);
  pen.font = font(10, 700);
  pen.fillStyle = theme.faint;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText("?", x, y + 0.5);
}

const font = (size, weight = 400) => `${weight} ${size}px system-ui, -apple-system, "Segoe UI", sans-serif`;

function fitted(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  while (text.length > 1 && pen.measureText(`${text}…`).width > width) text = text.slice(0, -1);
  return `${text}…`;
}
