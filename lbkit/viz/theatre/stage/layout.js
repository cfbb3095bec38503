// Where everything is, in CSS pixels: a pure function of the film and the width.

const TOP = 10;
const TALL = 136; // the balancer
const HUB = 46; // its hub is so far from its lower end
const POOL_NAME = 20; // the height of a pool's name, above its servers
const DOT = 6; // the radius of a request of mean size

function layoutOf(index, width) {
  const { film } = index;
  const count = film.servers.length;
  const small = width < 560;
  const pitch = clamp(Math.round(380 / count), count > 24 ? 16 : 28, small ? 88 : 104);
  const pools = poolsOf(film);
  const tall = count * pitch + pools.length * POOL_NAME;
  const height = Math.max(small ? 210 : 232, tall + 2 * TOP);
  const scored = !small && index.captions.some((caption) => Object.keys(caption.scores ?? {}).length);
  const scoreWidth = scored ? clamp(width * 0.1, 64, 108) : 0;
  const deep = treeDepth(film);
  const boxWidth = deep ? clamp(width * 0.16, 84, 180) : clamp(width * 0.24, small ? 116 : 150, 236);
  const right = width - 8 - scoreWidth;
  const layout = { width, height, small, pitch, pools, scoreWidth, scoreX: right + 10 };
  const tops = serverTops(count, pools, pitch);
  layout.boxes = film.servers.map((server, i) => ({
    x: right - boxWidth,
    y: (height - tall) / 2 + tops[i] + Math.min(5, pitch * 0.08),
    width: boxWidth,
    height: pitch - 2 * Math.min(5, pitch * 0.08),
    ...workers(index, i, boxWidth, pitch - 2 * Math.min(5, pitch * 0.08)),
  }));
  layout.clients = clientPlaces(film, small, height);
  layout.balancer = balancerPlace(small, width, height, deep);
  layout.hub = { x: layout.balancer.x + layout.balancer.width / 2, y: layout.balancer.y + layout.balancer.height - HUB };
  layout.cache = { x: layout.balancer.x + (small ? 9 : 0), y: layout.hub.y };
  const from = layout.balancer.x + layout.balancer.width;
  layout.tiers = tierPlaces(layout, film, from, right - boxWidth);
  const queueFrom = (deep ? tiersEnd(layout) - 8 : from) + (small ? 18 : 46) * (deep ? 0.4 : 1);
  layout.spacing = clamp(pitch * 0.42, 8, 14);
  layout.room = Math.max(1, Math.floor((right - boxWidth - 10 - queueFrom) / layout.spacing));
  layout.entry = mix(queueFrom, right - boxWidth, 0.55);
  layout.routes = routesOf(layout, film);
  return layout;
}

// The pools with their servers, in the order of the film; none where there is only one.
function poolsOf({ servers, pools }) {
  const names = [...new Set(servers.map(({ pool }) => pool))];
  if (names.length < 2) return [];
  return names.map((name) => ({
    name,
    label: pools?.find((pool) => pool.name === name)?.label ?? `pool ${name}`,
    servers: [...servers.keys()].filter((i) => servers[i].pool === name),
  }));
}

// How far down each server is: those of a pool are together, below its name.
function serverTops(count, pools, pitch) {
  if (!pools.length) return Array.from({ length: count }, (_, i) => i * pitch);
  const tops = [];
  let y = 0;
  for (const { servers } of pools) {
    y += POOL_NAME;
    for (const i of servers) {
      tops[i] = y;
      y += pitch;
    }
  }
  return tops;
}

function clientPlaces(film, small, height) {
  const count = film.clients.length;
  const pitch = Math.min(72, (height - 2 * TOP) / count);
  const top = (height - count * pitch) / 2;
  return film.clients.map((client, i) => ({ x: small ? 18 : 84, y: top + (i + 0.5) * pitch, radius: clamp(pitch * 0.3, 6, 13) }));
}

// The hub, where requests are while it is decided, is half-way down the picture.
function balancerPlace(small, width, height, deep) {
  const wide = clamp(width * (deep ? 0.09 : 0.15), 78, 134);
  const x = small ? 46 : clamp(width * (deep ? 0.12 : 0.21), 136, 250);
  return { x, y: height / 2 - TALL + HUB, width: wide, height: TALL };
}

// The slots of a server's workers: as many as can be seen, else a gauge.
function workers(index, number, width, height) {
  const server = index.film.servers[number];
  const count = server.sharing ? Math.min(8, sharers(index, number)) : server.workers;
  const rows = height >= 58 && count > 5 ? 2 : 1;
  const columns = Math.ceil(count / rows);
  const room = Math.max(34, width * 0.46);
  const size = Math.min(height >= 80 ? 34 : 26, (height - 8) / rows - 2, room / columns - 3);
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
  let most = index.film.live ? Infinity : 1; // unknown while a session runs
  index.attempts.server.forEach((server, i) => {
    if (server === number) most = Math.max(most, index.slots[i] + 1);
  });
  return most;
}

// Roads: level where they begin and end, as at a roundabout; their y is a function of x.
const smooth = (p) => ease(clamp(p, 0, 1));

const clientRoad = (client, { hub }, x) => mix(client.y, hub.y, smooth((x - client.x) / (hub.x - client.x)));

// To a server it ends with a straight piece, where the queue stands.
function serverRoad({ hub, boxes, entry, routes }, server, x) {
  if (routes) return treeRoad(routes[server], x);
  return mix(hub.y, middle(boxes[server]), smooth((x - hub.x) / (entry - hub.x)));
}

const middle = (box) => box.y + box.height / 2;

// To the balancer's hub, or to its cache.
function onClientRoad(layout, client, p, cached = false) {
  const hub = cached ? layout.cache : layout.hub;
  const x = mix(client.x, hub.x, ease(p));
  return { x, y: clientRoad(client, { hub }, x) };
}

// From the balancer to a place at a server, which may be beside the road.
function onServerRoad(layout, server, place, p) {
  const box = layout.boxes[server];
  const x = mix(layout.hub.x, place.x, ease(p));
  const beside = smooth((x - box.x + 14) / (place.x - box.x + 14)) * (place.y - middle(box));
  return { x, y: serverRoad(layout, server, x) + (place.x > box.x ? beside : 0) };
}

// A probe flies beside the road, so that it is not taken for a request.
function probePlace(layout, { server, p }) {
  const { hub, boxes, pitch } = layout;
  const x = mix(hub.x, boxes[server].x - 8, ease(p));
  return { x, y: serverRoad(layout, server, x) - clamp(pitch * 0.3, 8, 20) * ease(p) };
}

const between = (from, to, p) => ({ x: mix(from.x, to.x, smooth(p)), y: mix(from.y, to.y, smooth(p)) });

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
  const columns = heldRoom(balancer);
  return { x: balancer.x + 12 + place * 11, y: balancer.y + balancer.height - 11, hidden: place >= columns };
}

// Below the cache, those that wait for an answer that is being fetched.
const FOLLOWERS = 6;
const followPlace = ({ cache }, place) => ({ x: cache.x, y: cache.y + 27 + 11 * place, hidden: place >= FOLLOWERS });

const heldRoom = (balancer) => Math.max(1, Math.floor((balancer.width - 14) / 11));

// Where a dot is: what `momentAt` says, in pixels. `hidden` if there is no room to show it.
function placeOf(index, layout, dot) {
  return PLACES[dot.phase](layout, dot, layout.clients[index.requests.client[dot.request]]);
}

const PLACES = {
  in: (layout, dot, client) => onClientRoad(layout, client, dot.p, dot.cached),
  follow: (layout, dot) => followPlace(layout, dot.place),
  held: (layout, dot) => heldPlace(layout, dot.place),
  out(layout, { server, slot, place, direct, p }) {
    return onServerRoad(layout, server, direct ? slotPlace(layout, server, slot) : queuePlace(layout, server, place), p);
  },
  wait: (layout, { server, place }) => ({
    ...queuePlace(layout, server, place),
    hidden: place > layout.room - 1,
  }),
  work(layout, { server, slot, since }) {
    const target = slotPlace(layout, server, slot);
    return since >= 1 ? target : between(queuePlace(layout, server, 0), target, since);
  },
  back: (layout, dot) => onServerRoad(layout, dot.server, restingPlace(layout, dot), 1 - dot.p),
  home: (layout, dot, client) => onClientRoad(layout, client, 1 - dot.p, dot.cached),
  fade(layout, dot) {
    const from = dot.attempt < 0 ? layout.hub : restingPlace(layout, dot);
    return { x: from.x, y: from.y + (dot.outcome === "left" ? 16 * dot.p : 0) };
  },
};

// Where an attempt was when it ended: in its slot, or in the queue.
const restingPlace = (layout, dot) =>
  dot.slot < 0 ? queuePlace(layout, dot.server, 0) : slotPlace(layout, dot.server, dot.slot);
