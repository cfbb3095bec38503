// What health rules know: the last checks of each server, what is counted, and for how long it is out.

const CHECKS_SHOWN = 8;
const CHECK_STEP = 12; // pixels

const HEALTH_PROP = {
  height: (prop, width) => healthRows(prop).length * healthStep(prop, width) + (prop.panic ? 24 : 4),

  draw(pen, { width, height }, prop, { index, t, look }) {
    const step = healthStep(prop, width);
    const two = step > 24;
    const checked = prop.fall !== null;
    const from = NAME + (checked ? CHECKS_SHOWN * CHECK_STEP + 14 : 6);
    healthRows(prop).forEach((server, i) => {
      const y = i * step + (two ? 11 : step / 2);
      rowName(pen, index.film.servers[server].name, 0, y, NAME - 6, look.theme);
      if (checked) drawChecks(pen, prop, server, t, NAME, y, look.theme);
      const state = healthAt(prop, server, t);
      const [x, line] = two ? [NAME, y + 17] : [from, y];
      drawHealth(pen, state, x, line, width - x, look.theme);
    });
    if (prop.panic) drawPanic(pen, panicAt(prop, t), width, height - 12, look.theme);
  },

  words(prop, { index, t }) {
    const rows = healthRows(prop);
    const said = rows
      .map((server) => [index.film.servers[server].name, healthAt(prop, server, t)])
      .filter(([, { tone }]) => tone !== "faint")
      .map(([name, state]) => `${name}: ${state.text}`);
    const panic = prop.panic && panicAt(prop, t);
    if (panic?.on) said.unshift("panic: health is ignored");
    return (said.join(" · ") || "no server fails its checks") + moreRows(index.film.servers.length, "server");
  },
};

// On narrow props a row with checks has two lines.
const healthStep = (prop, width) => (width < 400 && prop.fall !== null ? 38 : 22);

const healthRows = (prop) => prepared(prop, prepareHealth).servers;

function prepareHealth({ probes, tallies }) {
  const servers = [...new Set([...tallies.server, ...probes.server])].sort((a, b) => a - b).slice(0, ROWS);
  return {
    servers,
    tallies: rowsByOwner(tallies.server, tallies.at),
    probes: rowsByOwner(probes.server, probes.ended),
  };
}

// What is said of a server: {text, tone, share}, where share is what is left of the time that it is out for.
function healthAt(prop, server, t) {
  const row = lastRow(prepared(prop, prepareHealth).tallies, server, t);
  if (row < 0) return { text: "not checked yet", tone: "faint" };
  const found = [ejection(prop, server, row, t), checksAt(prop, row), failuresAt(prop, row)].filter(Boolean);
  if (!found.length) return { text: prop.tallies.check[row] || "in", tone: "faint" };
  return { ...found[0], text: found.map(({ text }) => text).join(", ") };
}

function ejection(prop, server, row, t) {
  const until = prop.tallies.until[row];
  if (until === null || until === undefined) return null;
  if (until <= t) return { text: "out: back at the next look", tone: "failed", share: 0 };
  const share = (until - t) / (until - outSince(prop, server, row) || 1);
  return { text: `out: back in ${wholeSeconds(until - t)}`, tone: "failed", share };
}

function checksAt({ tallies, fall, rise }, row) {
  const count = tallies.row[row];
  return {
    down: { text: "checks: down", tone: "failed" },
    recovering: { text: `checks: ${count} of ${rise} passed`, tone: "warned" },
    failing: { text: `${count} of ${fall} checks failed`, tone: "warned" },
  }[tallies.check[row]];
}

function failuresAt({ tallies, failures }, row) {
  const count = tallies.until[row] === null && tallies.failures[row];
  return count && failures ? { text: `${count} of ${failures} requests failed`, tone: "warned" } : null;
}

// Since when a server has been out: the first tally with this end of it.
function outSince(prop, server, row) {
  const { rows } = prepared(prop, prepareHealth).tallies.get(server);
  let first = rows.indexOf(row);
  while (first > 0 && prop.tallies.until[rows[first - 1]] === prop.tallies.until[row]) first--;
  return prop.tallies.at[rows[first]];
}

function drawChecks(pen, prop, server, t, x, y, theme) {
  const { rows, times } = prepared(prop, prepareHealth).probes.get(server) ?? { rows: [], times: [] };
  const count = until(times, t);
  rows.slice(Math.max(0, count - CHECKS_SHOWN), count).forEach((row, i) => {
    checkMark(pen, x + 5 + i * CHECK_STEP, y, !prop.probes.fault[row], theme);
  });
}

// ✓ or ✗, as lines: a font may have neither.
function checkMark(pen, x, y, passed, theme, size = 3.6) {
  pen.lineWidth = passed ? 1.6 : 2.2;
  pen.strokeStyle = passed ? theme.ink : theme.failed;
  pen.beginPath();
  if (passed) {
    pen.moveTo(x - size, y);
    pen.lineTo(x - size * 0.25, y + size * 0.8);
    pen.lineTo(x + size, y - size * 0.9);
  } else {
    pen.moveTo(x - size, y - size);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y - size);
    pen.lineTo(x - size, y + size);
  }
  pen.stroke();
}

function drawHealth(pen, { text, tone, share }, x, y, width, theme) {
  const colour = theme[tone];
  rowText(pen, text, x, y, width, colour, tone === "faint" ? 400 : 650);
  if (share === undefined) return;
  const used = pen.measureText(text).width + 10;
  if (width - used > 30) rowMeter(pen, x + used, y, Math.min(90, width - used), share, colour, theme);
}

function panicAt({ panic }, t) {
  const row = until(panic.at, t) - 1;
  return row < 0 ? null : { on: panic.on[row], healthy: panic.healthy[row], servers: panic.servers[row], threshold: panic.threshold };
}

function drawPanic(pen, panic, width, y, theme) {
  if (!panic) return;
  const { on, healthy, servers, threshold } = panic;
  rowMeter(pen, NAME, y, 84, servers ? healthy / servers : 0, on ? theme.failed : theme.line, theme, threshold);
  rowName(pen, "healthy", 0, y, NAME - 6, theme);
  const text = on ? `${healthy} of ${servers}: panic, health ignored` : `${healthy} of ${servers}`;
  rowText(pen, text, NAME + 94, y, width - NAME - 94, on ? theme.failed : theme.faint, on ? 700 : 400);
}
