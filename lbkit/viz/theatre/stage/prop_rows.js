// Props that are tables: a row for each server, session or connection, and the columns of a prop by their owner.

const ROWS = 12; // that are shown: more would be a page
const NAME = 62; // pixels for a name

// What `prepare` makes of a prop, once: what does not depend on the time.
const PREPARED = new WeakMap(); // by the function, and then by the prop

function prepared(prop, prepare) {
  if (!PREPARED.has(prepare)) PREPARED.set(prepare, new WeakMap());
  const known = PREPARED.get(prepare);
  if (!known.has(prop)) known.set(prop, prepare(prop));
  return known.get(prop);
}

// The rows of columns that are in order of time, by their owner: {rows, times}.
function rowsByOwner(owners, times) {
  const found = new Map();
  owners.forEach((owner, row) => {
    if (!found.has(owner)) found.set(owner, { rows: [], times: [] });
    found.get(owner).rows.push(row);
    found.get(owner).times.push(times[row]);
  });
  return found;
}

// The last row of an owner at t, or -1.
function lastRow(byOwner, owner, t) {
  const { rows, times } = byOwner.get(owner) ?? { rows: [], times: [] };
  return rows[until(times, t) - 1] ?? -1;
}

function rowName(pen, text, x, y, width, theme) {
  pen.font = font(12, 600);
  pen.fillStyle = theme.ink;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(fitted(pen, text, width), x, y);
}

function rowText(pen, text, x, y, width, colour, weight = 400) {
  pen.font = font(11.5, weight);
  pen.fillStyle = colour;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  if (width > 10) pen.fillText(fitted(pen, text, width), x, y);
}

// A bar that is filled to a share, with a line at another share.
function rowMeter(pen, x, y, width, share, colour, theme, mark = null) {
  rounded(pen, x, y - 4, width, 8, 3);
  pen.fillStyle = theme.slot;
  pen.fill();
  if (share > 0) {
    rounded(pen, x, y - 4, Math.max(3, width * clamp(share, 0, 1)), 8, 3);
    pen.fillStyle = colour;
    pen.fill();
  }
  if (mark === null) return;
  pen.fillStyle = theme.ink;
  pen.fillRect(x + width * clamp(mark, 0, 1) - 1, y - 7, 2, 14);
}

const wholeSeconds = (seconds) => `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
const moreRows = (count, what) => (count > ROWS ? `; ${plural(count - ROWS, `more ${what}`)} not shown` : "");
