// The picture of a hash ring: arcs and points, and the keys with a line to their owners.

const BAND = 13; // pixels that the arcs are wide
const angleOf = (place) => place * TAU - TAU / 4; // 0 is at the top, and it goes clockwise
const onCircle = ({ x, y }, radius, angle) => ({ x: x + radius * Math.cos(angle), y: y + radius * Math.sin(angle) });

function drawRing(pen, size, prop, scene, now) {
  const wide = size.width >= WIDE_RING;
  const tall = wide ? size.height : Math.min(size.height, 250);
  const ring = { x: wide ? Math.min(tall * 0.6, size.width * 0.3) : size.width / 2, y: tall / 2, radius: Math.min(tall, wide ? size.width * 0.6 : size.width) / 2 - 26 };
  const { theme } = scene.look;
  pen.globalAlpha = 1;
  drawArcs(pen, prop, now.epoch, ring, theme);
  pen.globalAlpha = 1 - now.p;
  if (now.p < 1) drawArcs(pen, prop, now.before, ring, theme);
  pen.globalAlpha = 1;
  drawPoints(pen, now.epoch, ring, theme);
  drawArcNames(pen, prop, scene, now.epoch, ring);
  const homes = homesOf(scene.index.film.servers.length, ring);
  drawSpokes(pen, prop, scene, now, ring, homes);
  drawHomes(pen, prop, scene, now, homes);
  drawWalk(pen, scene, now, ring);
  const left = wide ? ring.x + ring.radius + 64 : 12;
  const piece = wide ? { x: left, y: 26, width: Math.min(640, size.width - left - 16) } : { x: left, y: tall + 12, width: size.width - 24 };
  const below = drawPiece(pen, prop, scene, now, piece);
  if (wide) drawFlows(pen, prop, scene, now, { x: left, y: below + 26, width: piece.width, bottom: size.height });
}

// All arcs of a server are one path. Where colours come again, the arcs are half as wide.
const bandOf = (turn) => [[0, 1], [0.5, 0.5], [0, 0.4], [0.3, 0.4]][turn % 4];

function drawArcs(pen, prop, epoch, { x, y, radius }, theme) {
  const { arcs } = epoch;
  const paths = prop.colours.map(() => new Path2D());
  arcs.forEach(([begin, owner], i) => {
    const end = i + 1 < arcs.length ? arcs[i + 1][0] : arcs[0][0] + 1;
    const [inner, width] = bandOf(prop.turns[owner]);
    const middle = radius - BAND + BAND * (inner + width / 2);
    paths[owner].moveTo(x + middle * Math.cos(angleOf(begin)), y + middle * Math.sin(angleOf(begin)));
    paths[owner].arc(x, y, middle, angleOf(begin), angleOf(end));
  });
  paths.forEach((path, owner) => {
    pen.lineWidth = BAND * bandOf(prop.turns[owner])[1];
    pen.strokeStyle = serverColour(prop, owner, theme);
    pen.stroke(path);
  });
}

function drawPoints(pen, { points }, ring, theme) {
  pen.strokeStyle = theme.ink;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const [place] of points) {
    const from = onCircle(ring, ring.radius - BAND, angleOf(place));
    const to = onCircle(ring, ring.radius + 2, angleOf(place));
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
  }
  pen.stroke();
}

// Names outside, at arcs that are long enough.
function drawArcNames(pen, prop, scene, { arcs }, ring) {
  const { theme } = scene.look;
  pen.font = font(10, 600);
  pen.fillStyle = theme.faint;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  arcs.forEach(([begin, owner], i) => {
    const end = i + 1 < arcs.length ? arcs[i + 1][0] : arcs[0][0] + 1;
    const name = serverName(scene, owner);
    if ((end - begin) * TAU * ring.radius < pen.measureText(name).width + 5) return;
    const { x, y } = onCircle(ring, ring.radius + 16, angleOf((begin + end) / 2));
    pen.fillText(name, x, y);
  });
}

// A place inside the ring for each server, where its keys belong.
function homesOf(count, ring) {
  const size = clamp((Math.PI * ring.radius * 0.5) / count - 3, 4, 17);
  return Array.from({ length: count }, (_, i) => ({ ...onCircle(ring, ring.radius * (count > 1 ? 0.44 : 0), angleOf(i / count)), size }));
}

function drawSpokes(pen, prop, { look: { theme } }, now, ring, homes) {
  prop.keys.forEach((_, key) => {
    const owner = now.epoch.owners[key];
    if (owner < 0) return;
    const from = onCircle(ring, ring.radius - BAND - 7, angleOf(now.epoch.places[key] ?? 0));
    const old = homes[now.before.owners[key]] ?? homes[owner];
    const home = { x: mix(old.x, homes[owner].x, now.p), y: mix(old.y, homes[owner].y, now.p) };
    const marked = now.moved.has(key) || key === now.key;
    pen.globalAlpha = marked ? 1 : 0.55;
    pen.strokeStyle = marked ? theme.ink : serverColour(prop, owner, theme);
    pen.lineWidth = key === now.key ? 2 : marked && now.moved.size < 16 ? 1.8 : 1.2;
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(home.x, home.y);
    pen.stroke();
    pen.globalAlpha = 1;
    keyDot(pen, from.x, from.y, prop, owner, marked ? 4.6 : 3.2, now.moved.has(key), theme);
  });
}

// A key: a dot in its owner's colour; a diamond, when it has just moved.
function keyDot(pen, x, y, prop, owner, radius, moved, theme) {
  pen.beginPath();
  if (moved) {
    const far = radius * 1.25;
    pen.moveTo(x, y - far);
    pen.lineTo(x + far, y);
    pen.lineTo(x, y + far);
    pen.lineTo(x - far, y);
    pen.closePath();
  } else pen.arc(x, y, radius, 0, TAU);
  pen.fillStyle = serverColour(prop, owner, theme);
  pen.fill();
  pen.lineWidth = 1.2;
  pen.strokeStyle = theme.ink;
  pen.stroke();
}

function drawHomes(pen, prop, scene, now, homes) {
  const { theme } = scene.look;
  const counts = homes.map(() => 0);
  for (const owner of now.epoch.owners) if (owner >= 0) counts[owner]++;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  homes.forEach(({ x, y, size }, server) => {
    const member = now.epoch.members.includes(server);
    const picked = now.chosen === server && now.key >= 0;
    circle(pen, x, y, size);
    pen.fillStyle = theme.page;
    pen.fill();
    pen.setLineDash(member ? [] : [3, 3]);
    pen.lineWidth = picked ? 4.5 : 3;
    pen.strokeStyle = member ? serverColour(prop, server, theme) : theme.line;
    pen.stroke();
    pen.setLineDash([]);
    if (picked) ringAround(pen, x, y, size + 4, scene.look.colour);
    pen.fillStyle = member ? theme.ink : theme.faint;
    pen.font = font(clamp(size * 0.72, 7, 11), 650);
    const name = fitted(pen, serverName(scene, server), size * 1.8);
    if (size < 8) return;
    pen.fillText(name, x, y - (size >= 13 ? 4 : 0));
    if (size < 13) return;
    pen.font = font(9.5);
    pen.fillStyle = theme.faint;
    pen.fillText(member ? counts[server] : "out", x, y + 7);
  });
}

function ringAround(pen, x, y, radius, colour) {
  circle(pen, x, y, radius);
  pen.lineWidth = 2;
  pen.strokeStyle = colour;
  pen.stroke();
}
