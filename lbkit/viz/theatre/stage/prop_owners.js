// The keys of each server in a column of its own, for algorithms that have no ring: a key that moves flies over.

const COLUMN_HEAD = 24;
const CHIP = 17; // pixels from one row of keys to the next

// How the keys of a column stand: as names where there is room, else as dots.
function columnsOf(prop, width, servers) {
  const column = width / servers;
  const longest = Math.max(...prop.keys.map((key) => key.length)) * 6 + 14;
  const named = column >= longest + 8;
  const pitch = named ? longest : 13;
  return { column, named, pitch, across: Math.max(1, Math.floor((column - 10) / pitch)) };
}

function columnsHeight(prop, epoch, width) {
  const { across } = columnsOf(prop, width, prop.colours.length);
  const counts = prop.colours.map((_, server) => epoch.owners.filter((owner) => owner === server).length);
  return COLUMN_HEAD + 12 + CHIP * Math.max(2, Math.ceil(Math.max(...counts) / across));
}

// Where each key stands.
function keyPlaces(prop, epoch, { column, pitch, across }) {
  const counts = prop.colours.map(() => 0);
  return epoch.owners.map((owner) => {
    if (owner < 0) return null;
    const place = counts[owner]++;
    return { x: owner * column + 6 + (place % across) * pitch, y: COLUMN_HEAD + 8 + Math.floor(place / across) * CHIP };
  });
}

function drawOwners(pen, size, prop, scene, now) {
  const { theme, colour } = scene.look;
  const columns = columnsOf(prop, size.width, prop.colours.length);
  drawColumns(pen, size, prop, scene, now, columns);
  const [old, next] = [now.before, now.epoch].map((epoch) => keyPlaces(prop, epoch, columns));
  const order = [...prop.keys.keys()].sort((a, b) => now.moved.has(a) - now.moved.has(b)); // those that move on top
  for (const key of order) {
    if (!next[key]) continue;
    const from = old[key] ?? next[key];
    const place = { x: mix(from.x, next[key].x, now.p), y: mix(from.y, next[key].y, now.p) };
    const marked = key === now.key;
    if (columns.named) drawChip(pen, place, columns.pitch - 4, prop, key, now, theme);
    else keyDot(pen, place.x + 6, place.y + 6, prop, now.epoch.owners[key], marked ? 6 : 4, now.moved.has(key), theme);
    if (marked) {
      rounded(pen, place.x - 2, place.y - 2, columns.named ? columns.pitch : 16, CHIP - 1, 5);
      pen.lineWidth = 2.5;
      pen.strokeStyle = colour;
      pen.stroke();
    }
  }
}

function drawColumns(pen, size, prop, scene, now, { column }) {
  const { theme } = scene.look;
  prop.colours.forEach((_, server) => {
    const member = now.epoch.members.includes(server);
    const count = now.epoch.owners.filter((owner) => owner === server).length;
    rounded(pen, server * column + 1, 1, column - 4, size.height - 2, 6);
    pen.fillStyle = theme.panel;
    pen.fill();
    pen.setLineDash(member ? [] : [4, 4]);
    pen.lineWidth = now.chosen === server && now.key >= 0 ? 2.5 : 1;
    pen.strokeStyle = now.chosen === server && now.key >= 0 ? scene.look.colour : theme.line;
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = serverColour(prop, server, theme);
    const [inner, share] = bandOf(prop.turns[server]);
    pen.fillRect(server * column + 7, 7 + 11 * (1 - inner - share), 11, 11 * share);
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.font = font(11.5, 650);
    pen.fillStyle = member ? theme.ink : theme.faint;
    const head = `${serverName(scene, server)}: ${member ? count : "out"}`;
    const fits = pen.measureText(head).width <= column - 28;
    pen.fillText(fits ? head : fitted(pen, serverName(scene, server), column - 28), server * column + 23, 13);
  });
}

function drawChip(pen, { x, y }, width, prop, key, now, theme) {
  rounded(pen, x, y, width, CHIP - 4, 4);
  pen.fillStyle = theme.page;
  pen.fill();
  pen.lineWidth = now.moved.has(key) ? 2 : 1.2;
  pen.strokeStyle = now.moved.has(key) ? theme.ink : serverColour(prop, now.epoch.owners[key], theme);
  pen.stroke();
  pen.font = font(10);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = theme.ink;
  pen.fillText(fitted(pen, prop.keys[key], width - 6), x + width / 2, y + CHIP / 2 - 1.5);
}
