// Connections: a lane for each, with a mark for each request on it that looks like the server it went to.

const LANE = 22;
const LANE_TIME = 40; // seconds on the screen that a lane shows

const CONNECTIONS_PROP = {
  height: (prop) => Math.max(1, Math.min(prop.rows, ROWS)) * LANE + 24,

  draw(pen, { width }, prop, scene) {
    const { index, t, look } = scene;
    const from = NAME - 8;
    const place = laneTime(scene, from, width - 10);
    drawServerKey(pen, prop, index, width, look.theme);
    for (const lane of prop.lanes) {
      const closed = never(lane.closed);
      if (lane.row >= ROWS || lane.opened > t || closed < place.since) continue;
      drawLane(pen, prop, lane, Math.min(closed, t), closed <= t, place, scene);
    }
    const { requests } = prop;
    for (let i = until(requests.at, place.since); i < requests.at.length && requests.at[i] <= t; i++) {
      const lane = prop.lanes[requests.lane[i]];
      if (lane.row >= ROWS) continue;
      const server = requests.server[i];
      serverMark(pen, place.x(requests.at[i]), laneY(lane), server, 5, connectionColour(prop, server, look.theme), look.theme);
    }
  },

  words(prop, { index, t }) {
    const lanes = prop.lanes.filter(({ opened, closed }) => opened <= t && t < never(closed));
    const most = until(prepared(prop, serversOnALane), t);
    const said = [plural(lanes.length, "open connection")];
    if (most) said.push(`the requests on ${most > 1 ? "one of them" : "each"} went to ${plural(most, "server")}`);
    return said.join(" · ") + moreRows(prop.rows, "lane");
  },
};

// The times at which a lane had its first request, its first to a second server, its first to a third...
function serversOnALane({ requests, lanes }) {
  const used = lanes.map(() => new Set());
  const times = [];
  requests.at.forEach((at, i) => {
    const servers = used[requests.lane[i]];
    if (requests.server[i] >= 0) servers.add(requests.server[i]);
    if (servers.size > times.length) times.push(at);
  });
  return times;
}

const laneY = (lane) => 24 + (lane.row + 0.5) * LANE;

// The last part of the film until now, from left to right.
function laneTime({ index, t }, left, right) {
  const span = Math.min(index.end - index.begin, LANE_TIME * index.film.pace) || 1;
  const since = Math.max(index.begin, t - span);
  return { since, x: (at) => mix(left, right, clamp((at - since) / span, 0, 1)), left, right };
}

function drawLane(pen, prop, lane, end, closed, place, { index, look }) {
  const y = laneY(lane);
  const { theme } = look;
  const x = place.x(Math.max(lane.opened, place.since));
  const width = Math.max(2, place.x(end) - x);
  const own = lane.server >= 0;
  pen.globalAlpha = own ? 0.38 : 1;
  pen.fillStyle = own ? connectionColour(prop, lane.server, theme) : theme.hair;
  pen.fillRect(x, y - (own ? 8 : 1), width, own ? 16 : 2);
  pen.globalAlpha = 1;
  circle(pen, 5, y, 4.5);
  pen.fillStyle = lane.client < 0 ? theme.faint : laneColour(index, lane.client, look);
  pen.fill();
  rowName(pen, lane.client < 0 ? "all" : `c${lane.client}`, 14, y, NAME - 26, theme);
  pen.fillStyle = theme.ink;
  if (lane.opened >= place.since) pen.fillRect(x - 1, y - 8, 2, 16);
  if (closed) checkMark(pen, x + width, y, false, theme);
}

// What each server's marks look like.
function drawServerKey(pen, prop, index, width, theme) {
  let x = 0;
  index.film.servers.forEach(({ name }, server) => {
    pen.font = font(11.5);
    const room = 18 + pen.measureText(name).width;
    if (x + room > width) return;
    serverMark(pen, x + 6, 9, server, 5, connectionColour(prop, server, theme), theme);
    rowText(pen, name, x + 14, 9, room, theme.ink);
    x += room + 10;
  });
}

const connectionColour = (prop, server, theme) => (server < 0 ? theme.failed : lifted(prop.colours[server], theme));

// A shape for each server, so that colours are not needed to tell them apart: square, circle, triangle...
function serverMark(pen, x, y, server, radius, colour, theme) {
  if (server < 0) return checkMark(pen, x, y, false, theme);
  const sides = [4, 0, 3, 5, 2][server % 5]; // 0: a circle; 2: a diamond
  pen.beginPath();
  if (sides === 0) pen.arc(x, y, radius, 0, TAU);
  else {
    const count = Math.max(sides, sides === 2 ? 4 : 3);
    const turn = sides === 4 ? TAU / 8 : 0;
    for (let i = 0; i < count; i++) {
      const angle = (i / count) * TAU - TAU / 4 + turn;
      pen.lineTo(x + radius * 1.2 * Math.cos(angle), y + radius * 1.2 * Math.sin(angle));
    }
  }
  pen.closePath();
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = theme.ink;
  pen.stroke();
}
