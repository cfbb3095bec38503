// The cache in front: a shelf with a cell for each answer that is kept or fetched, its age and how long it is fresh;
// who gets it, who waits for it, and what is thrown out. Above it what the cache has done for all requests so far.

const CACHE_PROP = {
  height: (prop, width) => SHELF_TOP + rowsOf(prop, width) * CELL_HEIGHT + (gridOf(prop, width).shown < shelfOf(prop).count ? 16 : 2),

  draw(pen, size, prop, scene) {
    drawServed(pen, size, prop, scene);
    const { columns, width, shown } = gridOf(prop, size.width);
    const cells = cellsAt(prop, scene.t, 5 * scene.index.flight);
    drawRest(pen, size, cells.filter(({ cell }) => cell >= shown).length, scene.look.theme);
    for (const cell of cells) {
      if (cell.cell >= shown) continue;
      const x = (cell.cell % columns) * width;
      const y = SHELF_TOP + Math.floor(cell.cell / columns) * CELL_HEIGHT;
      drawCell(pen, { x, y, width: width - 6, height: CELL_HEIGHT - 6 }, prop, cell, scene);
    }
  },

  words(prop, scene) {
    const { found, rate } = servedAt(prop, scene.t);
    const { answers, bytes } = stockAt(prop, scene);
    const served = found.map(([how, count]) => `${count.toLocaleString("en")} ${HOW_WORDS[how].at(count === 1 ? 0 : -1)}`).join(", ");
    const evicted = until(shelfOf(prop).evictions, scene.t);
    const parts = [
      rate === null ? "nothing asked yet" : `hit rate ${Math.round(100 * rate)} %: ${served}`,
      shelfOf(prop).count && `${plural(answers, "answer")} in ${brief(bytes / 1024)} of ${brief(prop.room / 1024)} KiB${evicted ? `, ${evicted.toLocaleString("en")} evicted` : ""}`,
    ];
    return `${parts.filter(Boolean).join("; ")}.`;
  },
};

const SHELF_TOP = 30;
const CELL_HEIGHT = 50;
const MOST_ROWS = 6;

// Rows of equal length, as many cells as the picture has room for.
function gridOf(prop, width) {
  const { count } = shelfOf(prop);
  const most = Math.max(2, Math.floor(width / 118));
  const columns = Math.min(most, Math.ceil(count / Math.ceil(count / most)) || 1);
  return { columns, width: Math.min(170, width / columns), shown: columns * MOST_ROWS };
}

function drawRest(pen, { width, height }, count, theme) {
  if (!count) return;
  pen.font = font(11);
  pen.fillStyle = theme.faint;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillText(`${plural(count, "more answer")} that the picture has no room for`, width - 8, height - 7);
}

const rowsOf = (prop, width) => Math.min(MOST_ROWS, Math.ceil(shelfOf(prop).count / gridOf(prop, width).columns));

// What is kept at the time, shown or not.
function stockAt(prop, { t }) {
  const { kept } = prop;
  let [answers, bytes] = [0, 0];
  kept.at.forEach((at, i) => {
    if (!lasts(at, kept.gone[i], t)) return;
    answers++;
    bytes += kept.size[i];
  });
  return { answers, bytes };
}

// A bar of all requests so far, by how they were served: colours, and patterns, and words where there is room.
const HOW_TONES = { hit: "blue", stale: "warned", collapsed: "faint", validated: "blue", miss: "slot", passed: "hair" };

function drawServed(pen, { width }, prop, { t, look: { theme } }) {
  const { found, all, rate } = servedAt(prop, t);
  rounded(pen, 0, 2, width - 6, 20, 5);
  pen.fillStyle = theme.hair;
  pen.fill();
  if (!all) return;
  let x = 0;
  pen.textBaseline = "middle";
  for (const [how, count] of found) {
    const wide = ((width - 6) * count) / all;
    pen.fillStyle = theme[HOW_TONES[how]];
    pen.fillRect(x, 2, Math.max(0, wide - 1), 20);
    if (how === "stale" || how === "collapsed") stripes(pen, x, 2, Math.max(0, wide - 1), 20, theme.page);
    const text = how === "hit" ? `${Math.round(100 * rate)} % hit rate` : how === "collapsed" ? "waited" : how;
    pen.font = font(11, 650);
    const room = pen.measureText(text).width + 10;
    if (wide > room) {
      if (how === "stale" || how === "collapsed") {
        pen.fillStyle = theme.page;
        pen.fillRect(x + 3, 4, room - 4, 16);
      }
      pen.fillStyle = how === "hit" || how === "validated" ? theme.page : theme.ink;
      pen.textAlign = "left";
      pen.fillText(text, x + 6, 12.5);
    }
    x += wide;
  }
}

function stripes(pen, x, y, width, height, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  for (let at = x - height; at < x + width; at += 7) {
    pen.moveTo(at, y + height);
    pen.lineTo(at + height, y);
  }
  pen.stroke();
  pen.restore();
}

function drawCell(pen, box, prop, cell, scene) {
  const { theme, colour } = scene.look;
  const { kept } = prop;
  const { t, index } = scene;
  const fresh = cell.kept >= 0 && t < never(kept.fresh[cell.kept]);
  const got = cell.kept < 0 ? [] : givenOut(prop, cell.key, t, 2 * index.flight);
  pen.globalAlpha = cell.left ? 0.7 : 1;
  rounded(pen, box.x + 1, box.y + 1, box.width - 2, box.height - 2, 6);
  pen.fillStyle = cell.kept >= 0 && !cell.left ? theme.panel : theme.page;
  pen.fill();
  pen.lineWidth = got.length ? 2.5 : 1.3;
  pen.strokeStyle = got.length ? colour : cell.kept >= 0 && !fresh && !cell.left ? theme.warned : theme.line;
  pen.setLineDash(fresh && !cell.left ? [] : [4, 3]);
  pen.stroke();
  pen.setLineDash([]);
  drawCellWords(pen, box, prop, cell, fresh, scene);
  if (cell.kept >= 0 && !cell.left) drawFreshness(pen, box, prop, cell, t, theme);
  drawGoing(pen, box, prop, cell, got, scene);
  pen.globalAlpha = 1;
}

function drawCellWords(pen, box, prop, cell, fresh, { t, look: { theme } }) {
  const { kept, fetches } = prop;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.font = font(11.5, 650);
  pen.fillStyle = cell.left ? theme.faint : theme.ink;
  pen.fillText(fitted(pen, prop.keys[cell.key], box.width - 34), box.x + 8, box.y + 12);
  pen.font = font(10.5);
  const [text, tone] = stateOf(kept, cell, fresh, t);
  pen.fillStyle = theme[tone];
  pen.fillText(fitted(pen, text, box.width - 16), box.x + 8, box.y + 26);
  if (cell.left || !cell.fetches.length) return;
  pen.font = font(13, 700);
  pen.textAlign = "right";
  pen.fillStyle = theme.blue;
  pen.fillText(cell.fetches.some((row) => fetches.behind[row]) ? "↻" : "↧", box.x + box.width - 7, box.y + 12);
}

// "0.31 s old", "stale for 0.1 s", "being fetched", "evicted"
function stateOf(kept, { kept: row, left, fetches }, fresh, t) {
  if (left) return [`✕ ${(row >= 0 && kept.why[row]) || "not kept"}`, "failed"];
  if (row < 0) return ["being fetched", "blue"];
  if (fresh) return [`${brief(+(t - kept.at[row]).toFixed(2))} s old`, "faint"];
  const late = t - kept.fresh[row];
  return [`stale for ${brief(+late.toFixed(2))} s${t > kept.usable[row] ? ", too long" : ""}`, "warned"];
}

// How much of its time it is still fresh.
function drawFreshness(pen, box, { kept }, { kept: row }, t, theme) {
  const width = box.width - 16;
  const y = box.y + box.height - 9;
  const share = clamp((never(kept.fresh[row]) - t) / (never(kept.fresh[row]) - kept.at[row]) || 0, 0, 1);
  pen.fillStyle = theme.slot;
  pen.fillRect(box.x + 8, y, width, 4);
  pen.fillStyle = theme.blue;
  pen.fillRect(box.x + 8, y, width * share, 4);
}

// The lookups that have just got this answer.
function givenOut({ lookups, how }, key, t, span) {
  const found = [];
  for (let i = until(lookups.at, t) - 1; i >= 0 && lookups.at[i] > t - span; i--)
    if (lookups.key[i] === key && ANSWERS.has(how[lookups.how[i]])) found.push(i);
  return found;
}

// Dots of those that take it home, and of those that wait for it.
function drawGoing(pen, box, prop, { waiting }, got, { t, index, look: { theme, colours } }) {
  const colourOf = (row) => colours[index.requests.client[prop.lookups.request[row]]];
  for (const row of got) {
    const p = (t - prop.lookups.at[row]) / (2 * index.flight);
    pen.globalAlpha = 1 - p;
    SYMBOLS.ok(pen, box.x + box.width - 28, box.y + 26 - 20 * ease(p), 6, colourOf(row), theme);
    pen.globalAlpha = 1;
  }
  const room = Math.floor((box.width - 40) / 9);
  waiting.slice(0, room).forEach((row, i) => {
    circle(pen, box.x + 12 + 9 * i, box.y + box.height - 8, 3.6);
    pen.fillStyle = colourOf(row);
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = theme.page;
    pen.stroke();
  });
  if (!waiting.length) return;
  pen.font = font(10, 650);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillStyle = theme.ink;
  const text = `${waiting.length} wait${waiting.length === 1 ? "s" : ""}`;
  pen.fillText(text, box.x + box.width - 7, box.y + box.height - 8);
}
