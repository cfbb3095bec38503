// Where everything is, in CSS pixels: a pure function of the film and the width.

const TOP = 10;
const DOT = 5; // the radius of a request of mean size

function layoutOf(index, width) {
  const { film } = index;
  const count = film.servers.length;
  const small = width < 560;
  const pitch = clamp(Math.round(360 / count), count > 24 ? 16 : 28, 92);
  const height = Math.max(small ? 210 : 232, count * pitch + 2 * TOP);
  const scored = !small && index.captions.some((caption) => Object.keys(caption.scores ?? {}).length);
  const scoreWidth = scored ? clamp(width * 0.1, 64, 108) : 0;
  const boxWidth = clamp(width * 0.24, small ? 116 : 150, 236);
  const right = width - 8 - scoreWidth;
  const layout = { width, height, small, pitch, scoreWidth, scoreX: right + 10 };
  layout.boxes = film.servers.map((server, i) => ({
    x: right - boxWidth,
    y: (height - count * pitch) / 2 + i * pitch + Math.min(5, pitch * 0.08),
    width: boxWidth,
    height: pitch - 2 * Math.min(5, pitch * 0.08),
    ...workers(index, i, boxWidth, pitch - 2 * Math.min(5, pitch * 0.08)),
  }));
  layout.clients = clientPlaces(film, small, height);
  layout.balancer = balancerPlace(layout, small, width, height);
  const queueFrom = layout.balancer.x + layout.balancer.width + (small ? 18 : 46);
  layout.spacing = clamp(pitch * 0.42, 8, 14);
  layout.room = Math.max(1, Math.floor((right - boxWidth - 10 - queueFrom) / layout.spacing));
  return layout;
}

function clientPlaces(film, small, height) {
  const count = film.clients.length;
  const pitch = Math.min(72, (height - 2 * TOP) / count);
  const top = (height - count * pitch) / 2;
  return film.clients.map((client, i) => ({ x: small ? 18 : 74, y: top + (i + 0.5) * pitch, radius: clamp(pitch * 0.3, 6, 13) }));
}

function balancerPlace(layout, small, width, height) {
  const wide = clamp(width * 0.15, 66, 134);
  const tall = Math.min(height - 2 * TOP, 132);
  const x = small ? 52 : clamp(width * 0.2, 130, 230);
  return { x, y: (height - tall) / 2, width: wide, height: tall };
}

// The slots of a server's workers: as many as can be seen, else a gauge.
function workers(index, number, width, height) {
  const server = index.film.servers[number];
  const count = server.sharing ? Math.min(8, sharers(index, number)) : server.workers;
  const rows = height >= 58 && count > 5 ? 2 : 1;
  const columns = Math.ceil(count / rows);
  const room = Math.max(34, width * 0.46);
  const size = Math.min(26, (height - 8) / rows - 2, room / columns - 3);
  if (size < 8) return { gauge: true, slots: [], slotsWidth: room };
  const step = size + 3;
  const top = (height - rows * step + 3) / 2;
  const slots = Array.from({ length: count }, (_, i) => ({
    x: 7 + (i % columns) * step,
    y: top + Math.floor(i / columns) * step,
    size,
  }));
  return { gauge: false, slots, slotsWidth: columns * step + 4 };
}

// The most requests that a server with processor sharing has worked on at once.
function sharers(index, number) {
  let most = 1;
  index.attempts.server.forEach((server, i) => {
    if (server === number) most = Math.max(most, index.slots[i] + 1);
  });
  return most;
}

// The ends of a way, and a point on it at p: level at both ends, as roads at a roundabout are.
const gate = ({ balancer }, side) => ({
  x: side === "clients" ? balancer.x : balancer.x + balancer.width,
  y: balancer.y + balancer.height / 2,
});

function along(from, to, p) {
  const share = ease(p);
  const bend = 3 * share * share - 2 * share * share * share;
  return { x: mix(from.x, to.x, share), y: mix(from.y, to.y, bend) };
}

function queuePlace(layout, server, place) {
  const box = layout.boxes[server];
  return { x: box.x - 12 - Math.min(place, layout.room - 1) * layout.spacing, y: box.y + box.height / 2 };
}

function slotPlace(layout, server, slot) {
  const box = layout.boxes[server];
  const spot = box.slots[slot];
  if (!spot) return { x: box.x + 7 + box.slotsWidth / 2, y: box.y + box.height / 2, hidden: true };
  return { x: box.x + spot.x + spot.size / 2, y: box.y + spot.y + spot.size / 2 };
}

function heldPlace({ balancer }, place) {
  const columns = Math.max(1, Math.floor((balancer.width - 16) / 12));
  const rows = 2;
  if (place >= columns * rows) return null;
  const row = Math.floor(place / columns);
  return { x: balancer.x + 14 + (place % columns) * 12, y: balancer.y + balancer.height - 14 - row * 12 };
}

// Where a dot is: what `momentAt` says, in pixels. `hidden` if there is no room to show it.
function placeOf(index, layout, dot) {
  const client = layout.clients[index.requests.client[dot.request]];
  const { server } = dot;
  switch (dot.phase) {
    case "in":
      return along(client, gate(layout, "clients"), dot.p);
    case "held":
      return heldPlace(layout, dot.place) ?? { ...gate(layout, "clients"), hidden: true };
    case "out": {
      const target = dot.direct ? slotPlace(layout, server, dot.slot) : queuePlace(layout, server, dot.place);
      return along(gate(layout, "servers"), { ...target, hidden: false }, dot.p);
    }
    case "wait":
      return { ...queuePlace(layout, server, dot.place), hidden: dot.place > layout.room - 1 };
    case "work": {
      const target = slotPlace(layout, server, dot.slot);
      return dot.since >= 1 ? target : along(queuePlace(layout, server, 0), target, dot.since);
    }
    case "back":
      return along(slotPlace(layout, server, Math.max(0, dot.slot)), gate(layout, "servers"), dot.p);
    case "home":
      return along(gate(layout, "clients"), client, dot.p);
    default: { // fade
      const from = dot.attempt < 0 ? gate(layout, "clients") : restingPlace(layout, dot);
      return { x: from.x, y: from.y + (dot.outcome === "left" ? 14 * dot.p : 0) };
    }
  }
}

const restingPlace = (layout, dot) =>
  dot.slot < 0 ? queuePlace(layout, dot.server, 0) : slotPlace(layout, dot.server, dot.slot);
