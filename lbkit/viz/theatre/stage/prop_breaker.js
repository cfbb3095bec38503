// Circuit breakers: what each has counted, how long it stays open, its trials; and what is left for retries.

const BREAKER_PROP = {
  height: (prop, width) => breakerRows(prop).length * breakerStep(width) + (prop.budget ? 26 : 4),

  draw(pen, { width, height }, prop, { index, t, look }) {
    const step = breakerStep(width);
    const two = step > 30;
    breakerRows(prop).forEach((server, i) => {
      const y = i * step + (two ? 13 : step / 2);
      rowName(pen, index.film.servers[server].name, 0, y, NAME - 6, look.theme);
      const now = breakerAt(prop, server, t);
      contacts(pen, NAME + 10, y, now.state, look.theme);
      const bar = two ? width - NAME - 34 : 110;
      rowMeter(pen, NAME + 30, y, bar, now.share, look.theme[now.tone], look.theme, now.mark);
      const [x, line] = two ? [NAME, y + 17] : [NAME + 152, y];
      rowText(pen, now.text, x, line, width - x, look.theme[now.tone === "line" ? "faint" : now.tone], now.tone === "line" ? 400 : 650);
    });
    if (prop.budget) drawBudget(pen, prop, t, width, height - 13, look.theme);
  },

  words(prop, { index, t }) {
    const rows = breakerRows(prop);
    const said = rows
      .map((server) => [server, breakerAt(prop, server, t)])
      .filter(([, { state }]) => state !== "closed")
      .map(([server, { text }]) => `${index.film.servers[server].name}: ${text}`);
    if (rows.length && !said.length) said.push("all breakers are closed");
    if (prop.budget) said.push(`retries left: ${brief(budgetAt(prop, t))}`);
    return said.join(" · ") + (rows.length ? moreRows(index.film.servers.length, "server") : "");
  },
};

const breakerStep = (width) => (width < 400 ? 42 : 26);

const breakerRows = (prop) => prepared(prop, prepareBreaker).servers;

function prepareBreaker({ tallies, budget }) {
  return {
    servers: [...new Set(tallies.server)].sort((a, b) => a - b).slice(0, ROWS),
    tallies: rowsByOwner(tallies.server, tallies.at),
    most: budget ? Math.max(1, ...budget.left) : 1,
  };
}

// {state, text, tone, share, mark}: the share that failed of what is counted, and where it opens; or of the time
// that it is open; or of its trials.
function breakerAt(prop, server, t) {
  const { tallies, rules } = prop;
  const row = lastRow(prepared(prop, prepareBreaker).tallies, server, t);
  if (row < 0) return { state: "closed", text: "closed: nothing counted yet", tone: "line", share: 0, mark: null };
  const at = (name) => tallies[name][row];
  const state = at("state");
  if (state === "open") {
    const left = at("until") - t;
    const text = left > 0 ? `open: a trial in ${wholeSeconds(left)}` : "open: the next request is a trial";
    return { state, text, tone: "failed", share: left / (at("until") - at("at") || 1), mark: null };
  }
  if (state === "half open") {
    const text = `half open: ${at("passed")} of ${plural(rules.probes, "trial")} passed, ${at("running")} under way`;
    return { state, text, tone: "warned", share: at("passed") / rules.probes, mark: null };
  }
  return { state, ...closedBreaker(rules, at) };
}

function closedBreaker(rules, at) {
  const [outcomes, failed, slow, inRow] = ["outcomes", "failed", "slow", "row"].map(at);
  const tone = failed || slow ? "warned" : "line";
  if (!rules.failure_rate && rules.consecutive)
    return { text: `closed: ${inRow} of ${rules.consecutive} in a row failed`, tone: inRow ? "warned" : "line", share: inRow / rules.consecutive, mark: 1 };
  const [count, word, mark] = rules.failure_rate ? [failed, "failed", rules.failure_rate] : [slow, "slow", rules.slow_rate];
  const few = outcomes < rules.minimum ? ` (counts from ${rules.minimum})` : "";
  return { text: `closed: ${count} of ${outcomes} ${word}${few}`, tone, share: outcomes ? count / outcomes : 0, mark };
}

function contacts(pen, x, y, state, theme) {
  if (state !== "closed") return breaker(pen, x, y, state, theme);
  pen.strokeStyle = pen.fillStyle = theme.line;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - 5, y);
  pen.lineTo(x + 5, y);
  pen.stroke();
  for (const side of [-5, 5]) {
    circle(pen, x + side, y, 2);
    pen.fill();
  }
}

const budgetAt = ({ budget }, t) => budget.left[until(budget.at, t) - 1] ?? budget.left[0];

function drawBudget(pen, prop, t, width, y, theme) {
  const left = budgetAt(prop, t);
  const none = left < 1;
  rowName(pen, "retries", 0, y, NAME - 6, theme);
  const bar = Math.min(140, width - NAME - 90);
  rowMeter(pen, NAME, y, bar, left / prepared(prop, prepareBreaker).most, theme[none ? "failed" : "blue"], theme);
  const text = none ? "none left" : `${brief(Math.floor(left))} left`;
  rowText(pen, text, NAME + bar + 10, y, width - NAME - bar - 10, theme[none ? "failed" : "ink"], 650);
}
