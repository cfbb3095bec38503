// Sticky sessions: the server of each, its age, and why it has moved. A session keeps its row as long as it lives.

const STICKY_STEP = 21;
const MOVED = 3; // seconds on the screen in which a move is drawn

const STICKY_PROP = {
  height: (prop) => Math.max(1, Math.min(prop.rows, ROWS)) * STICKY_STEP + 20,

  draw(pen, { width }, prop, { index, t, moment, look }) {
    const columns = stickyColumns(width);
    rowText(pen, prop.named ? "session" : "client", 14, 8, NAME, look.theme.faint);
    rowText(pen, "server", columns.server, 8, 60, look.theme.faint);
    rowText(pen, "age", columns.age, 8, 40, look.theme.faint);
    if (columns.why) rowText(pen, "moved because", columns.why, 8, width - columns.why, look.theme.faint);
    for (const session of liveSessions(prop, t)) drawSession(pen, prop, session, columns, width, { index, t, moment, look });
  },

  words(prop, { index, t }) {
    const there = prop.sessions.filter(({ began, seen }) => began <= t && t <= seen);
    const moved = there.filter((session) => pinAt(session, t) > 0);
    const said = [plural(there.length, prop.named ? "session" : "client"), `${moved.length} moved`];
    const latest = Math.max(...moved.map((session) => session.at[pinAt(session, t)]));
    const last = moved.find((session) => session.at[pinAt(session, t)] === latest);
    if (last) {
      const pin = pinAt(last, t);
      said.push(`the last: ${prop.named ? "session " : ""}${sessionName(prop, last)} to ${index.film.servers[last.server[pin]].name} (${last.why[pin]})`);
    }
    return said.join(" · ") + moreRows(prop.rows, "row");
  },
};

const stickyColumns = (width) =>
  width < 340 ? { server: 84, age: 148, why: 0 } : { server: 90, age: 160, why: 210 };

const liveSessions = (prop, t) =>
  prop.sessions.filter(({ row, began, seen }) => row < ROWS && began <= t && t <= seen);

// The number of the pin that holds at t.
const pinAt = (session, t) => until(session.at, t) - 1;

const sessionName = (prop, session) => (prop.named ? `#${session.number}` : `c${session.client}`);

function drawSession(pen, prop, session, columns, width, { index, t, moment, look }) {
  const { theme } = look;
  const y = 20 + (session.row + 0.5) * STICKY_STEP;
  const pin = pinAt(session, t);
  const server = session.server[pin];
  circle(pen, 5, y, 4.5);
  pen.fillStyle = laneColour(index, session.client, look);
  pen.fill();
  rowName(pen, sessionName(prop, session), 14, y, columns.server - 20, theme);
  const fresh = pin > 0 ? 1 - (t - session.at[pin]) / (MOVED * index.film.pace) : 0;
  drawPin(pen, index, server, columns.server, y, fresh, badges(moment.servers[server]).some(({ shut }) => shut), theme);
  rowText(pen, wholeSeconds(t - session.began), columns.age, y, 46, theme.ink);
  if (!columns.why || !pin) return;
  const from = index.film.servers[session.server[pin - 1]].name;
  const why = session.why[pin].startsWith(from) ? session.why[pin] : `${from}: ${session.why[pin]}`;
  rowText(pen, `← ${why}`, columns.why, y, width - columns.why, theme.warned, fresh > 0 ? 700 : 400);
}

// The server of a session; dashed where the way to it is shut, thick just after a move.
function drawPin(pen, index, server, x, y, fresh, shut, theme) {
  rounded(pen, x, y - 8, 56, 16, 8);
  pen.fillStyle = theme.slot;
  pen.fill();
  pen.lineWidth = fresh > 0 ? 1.5 + 2 * fresh : 1.5;
  pen.strokeStyle = shut ? theme.failed : fresh > 0 ? theme.warned : theme.line;
  pen.setLineDash(shut ? [3, 3] : []);
  pen.stroke();
  pen.setLineDash([]);
  pen.font = font(11, 650);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = shut ? theme.failed : theme.ink;
  pen.fillText(fitted(pen, index.film.servers[server].name, 46), x + 28, y + 0.5);
}

// The colour of a client's lane, that of the lane of the others where it has none of its own.
function laneColour(index, client, look) {
  const { clients } = index.film;
  const lane = clients.findIndex(({ number }) => number === client);
  const others = clients.findIndex(({ number }) => number === null);
  return look.colours[lane >= 0 ? lane : others >= 0 ? others : client % clients.length] ?? look.theme.line;
}
