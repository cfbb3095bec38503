// The hash ring: arcs and points in the servers' colours, keys with a line to their owners, which swings over when
// a server comes or goes. At a decision the key and its walk to the owner; beside the ring that piece, enlarged.
// Algorithms without a ring have the keys in a column of each server.

const RING_PROP = {
  height(prop, width) {
    const heights = prop.epochs.map((epoch) => (ringed(epoch) ? ringHeight(width) : columnsHeight(prop, epoch, width)));
    return Math.max(...heights);
  },

  draw(pen, size, prop, scene) {
    const now = keysAt(prop, scene);
    if (ringed(now.epoch)) drawRing(pen, size, prop, scene, now);
    else drawOwners(pen, size, prop, scene, now);
  },

  words(prop, scene) {
    const { epoch, key, owner, chosen } = keysAt(prop, scene);
    const parts = [movedText(prop, epoch, scene.index.film.pace)];
    const passed = until(prop.overflows.at, scene.t);
    if (passed) parts.push(`${plural(passed, "request")} so far went past a server that was full`);
    if (key >= 0 && owner >= 0) parts.push(`${prop.keys[key]}${placeText(epoch, key)} belongs to ${serverName(scene, owner)}${
      chosen >= 0 && chosen !== owner ? `, goes to ${serverName(scene, chosen)}` : ""}`);
    return `${parts.filter(Boolean).join(". ")}.`;
  },
};

const SWING = 3; // flights in which a key moves to its new owner
const MARKED = 14; // flights for which keys that have moved are marked
const WIDE_RING = 520; // pixels: beside the ring there is room for the piece enlarged

const ringed = (epoch) => epoch.arcs.length > 0;
const ringHeight = (width) => (width < WIDE_RING ? 332 : 290);
const serverName = ({ index }, server) => index.film.servers[server].name;
const serverColour = (prop, server, theme) => lifted(prop.colours[server], theme);

// The present epoch, the one before, how far keys have moved from one to the other, and the key of the decision.
function keysAt(prop, { t, index, look: { caption } }) {
  const found = prop.epochs.findLastIndex((epoch) => epoch.at <= t);
  const epoch = prop.epochs[Math.max(found, 0)];
  const since = (t - epoch.at) / index.flight;
  const key = caption ? prop.of[caption.request] : -1;
  const owner = key >= 0 ? epoch.owners[key] : -1;
  const chosen = caption?.chosen ?? -1;
  return {
    epoch, since, key, owner, caption,
    before: found > 0 ? prop.epochs[found - 1] : epoch,
    p: found > 0 ? ease(since / SWING) : 1,
    moved: new Set(found > 0 && since < MARKED ? epoch.moved : []),
    chosen,
    passed: owner >= 0 && chosen >= 0 && chosen !== owner ? whyPassed(caption, serverName({ index }, owner)) : "",
  };
}

// Why a request does not stay at its key's owner: that one is full, or has failed it. Not said of sessions.
function whyPassed({ scores = {}, best, rule = "" }, owner) {
  if (!best && scores[owner] <= 0) return "full";
  return rule.startsWith("a retry") ? "tried" : "";
}

function movedText(prop, epoch, pace) {
  if (epoch.owners.every((owner) => owner < 0)) return `${epoch.policy.replaceAll("_", " ")} does not go by keys`;
  if (!epoch.why) return `${plural(prop.keys.length, "key")} of ${plural(epoch.members.length, "server")}`;
  const expected = epoch.expected === null ? "" : ` (${shareText(epoch.expected)} expected)`;
  return `${clockText(epoch.at, pace)}: ${epoch.why}; ${epoch.moved.length} of ${plural(prop.keys.length, "key")} moved${expected}`;
}

// "1/4", or "12 %".
function shareText(share) {
  if (!share) return "none";
  const parts = Math.round(1 / share);
  return Math.abs(1 / parts - share) < 0.002 && parts <= 50 ? `1/${parts}` : `${brief(Math.round(share * 1000) / 10)} %`;
}

function placeText(epoch, key) {
  const place = epoch.places[key];
  if (place === null || place === undefined) return "";
  return epoch.slots ? ` (slot ${brief(place)} of ${brief(epoch.slots)})` : ` (at ${place.toFixed(3)})`;
}
