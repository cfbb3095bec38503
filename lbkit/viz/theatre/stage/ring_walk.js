// On a hash ring: the walk of a request from its key to its server, around the ring and enlarged beside it; and
// between which servers keys have moved.

// The points that the request passes: that of its owner, and where that one is full, that of the server it goes to.
function walkOf(now, scene) {
  const { caption, key, owner, chosen, epoch } = now;
  if (key < 0 || owner < 0 || epoch.slots) return null;
  const place = caption.place ?? epoch.places[key];
  const said = caption.near?.length ? caption.near : nearPoints(epoch, place, scene);
  const near = said.map(([at, name]) => ({ at: ahead(at, place), name }));
  const own = near[1]?.name === serverName(scene, owner) || !near[0] ? near[1] : { ...near[0], at: near[0].at - 1 };
  const stops = own ? [own] : [];
  if (now.passed && own) {
    const name = serverName(scene, chosen);
    const known = [...near.slice(1), ...epoch.points.map(([at, server]) => ({ at: ahead(at, place), name: serverName(scene, server) }))];
    const next = known.filter((point) => point.name === name && point.at >= own.at).sort((a, b) => a.at - b.at)[0];
    if (next) stops.push(next);
  }
  return { place, near, stops };
}

// Where no caption says it: the point before a place and three after it, if the points of the ring are known.
function nearPoints({ points }, place, scene) {
  if (!points.length) return [];
  const after = points.findIndex(([at]) => at > place);
  const first = after < 0 ? 0 : after;
  return [-1, 0, 1, 2].map((step) => {
    const [at, server] = points.at((first + step) % points.length);
    return [at, serverName(scene, server)];
  });
}

const ahead = (at, place) => (((at - place) % 1) + 1) % 1; // of the ring, clockwise

function drawWalk(pen, scene, now, ring) {
  const walk = walkOf(now, scene);
  if (!walk) return;
  const { theme, colour } = scene.look;
  const radius = ring.radius + 5;
  const begin = angleOf(walk.place);
  const end = begin + (walk.stops.at(-1)?.at ?? 0) * TAU;
  pen.lineWidth = 3;
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.arc(ring.x, ring.y, radius, Math.min(begin, end), Math.max(begin, end));
  pen.stroke();
  const from = onCircle(ring, radius, begin);
  circle(pen, from.x, from.y, 5);
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = theme.page;
  pen.stroke();
}

// The piece of the ring from the point before the key to the one that it comes to, enlarged. Returns its lower end.
function drawPiece(pen, prop, scene, now, { x, y, width }) {
  const { theme, colour } = scene.look;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.font = font(12, 650);
  pen.fillStyle = now.key >= 0 ? theme.ink : theme.faint;
  const walk = walkOf(now, scene);
  const said = now.key >= 0 ? `${prop.keys[now.key]}${placeText(now.epoch, now.key)}` : "pause or step to see a key's way";
  pen.fillText(fitted(pen, said, width), x, y - 12);
  if (!walk?.near.length) return y;
  const points = walk.near.map((point, i) => (i ? point : { ...point, at: point.at - 1 }));
  const last = walk.stops.at(-1);
  if (last && last.at > points.at(-1).at) points.push(last);
  while (last && points.length > 2 && points.at(-1).at > last.at + (last.at - points[0].at) / 2) points.pop();
  const span = { from: points[0].at, to: points.at(-1).at };
  const at = (place) => x + 6 + ((place - span.from) / (span.to - span.from || 1)) * (width - 34);
  drawPiecePoints(pen, prop, scene, points, at, y + 30);
  drawSteps(pen, walk.stops, at, y + 22, colour, now.passed);
  circle(pen, at(0), y + 22, 5);
  pen.fillStyle = colour;
  pen.fill();
  return y + 62;
}

function drawPiecePoints(pen, prop, scene, points, at, y) {
  const { theme } = scene.look;
  const { servers } = scene.index.film;
  let free = -Infinity; // of names that would stand in each other's way
  points.forEach(({ at: place, name }, i) => {
    const server = servers.findIndex((one) => one.name === name);
    const here = at(place);
    if (i) {
      pen.fillStyle = serverColour(prop, server, theme);
      const [inner, share] = bandOf(prop.turns[server]);
      pen.fillRect(at(points[i - 1].at), y + 12 * (1 - inner - share), here - at(points[i - 1].at), 12 * share);
    }
    pen.fillStyle = theme.ink;
    pen.fillRect(here - 1, y - 2, 2, 16);
    pen.font = font(11, 600);
    pen.textAlign = "center";
    const half = pen.measureText(name).width / 2;
    if (here - half < free) return;
    pen.fillText(name, here, y + 23);
    free = here + half + 4;
  });
}

// Arrows from the key to the owner's point; and on from there, where that one is full.
function drawSteps(pen, stops, at, y, colour, passed) {
  let from = at(0);
  stops.forEach((stop, i) => {
    const to = at(stop.at);
    const back = to < from ? 1 : -1;
    pen.strokeStyle = colour;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.moveTo(from, y);
    pen.lineTo(to + back * 6, y);
    pen.stroke();
    pen.fillStyle = colour;
    pen.beginPath();
    pen.moveTo(to, y);
    pen.lineTo(to + back * 8, y - 5);
    pen.lineTo(to + back * 8, y + 5);
    pen.fill();
    if (passed && i === 0) {
      pen.font = font(10, 700);
      pen.textAlign = "center";
      pen.fillText(passed, to, y - 11);
    }
    from = to;
  });
}

// Between which servers keys have moved.
function drawFlows(pen, prop, scene, { epoch, before }, { x, y, width, bottom }) {
  const { theme } = scene.look;
  if (!epoch.why || bottom - y < 30) return;
  const flows = new Map();
  for (const key of epoch.moved) {
    const way = `${before.owners[key]} ${epoch.owners[key]}`;
    flows.set(way, (flows.get(way) ?? 0) + 1);
  }
  const most = Math.max(...flows.values(), 1);
  const ranked = [...flows].sort((a, b) => b[1] - a[1]).slice(0, Math.floor((bottom - y - 18) / 16));
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.font = font(11, 650);
  pen.fillStyle = theme.faint;
  pen.fillText(fitted(pen, `keys that moved: ${epoch.why}`, width), x, y);
  ranked.forEach(([way, count], i) => {
    const [from, to] = way.split(" ").map(Number);
    const line = y + 18 + 16 * i;
    pen.font = font(11);
    pen.fillStyle = theme.ink;
    pen.fillText(fitted(pen, `${serverName(scene, from)} → ${serverName(scene, to)}`, 90), x, line);
    pen.fillStyle = serverColour(prop, to, theme);
    const long = Math.max(3, (Math.min(width - 130, 160) * count) / most);
    const [inner, share] = bandOf(prop.turns[to]);
    pen.fillRect(x + 96, line - 5 + 10 * (1 - inner - share), long, 10 * share);
    pen.fillStyle = theme.ink;
    pen.fillText(String(count), x + 102 + long, line);
  });
}
