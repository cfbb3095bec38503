// What the states of a server look like, by their words. A state that is not here is shown as a grey badge.

const CALM = new Set(["up", "healthy", "closed", "ready", "usual", "none", "in", "ok", "passing", "active", "set", "normal"]);
const MEMBER = new Set(["in", "joined", "up"]); // of a pool

// tone: the colour; shut: whether the way to the server is closed; mark: a symbol before the word
const STATES = {
  down: { tone: "failed", shut: true, mark: "✕", hatched: true },
  unhealthy: { tone: "failed", shut: true, mark: "✕" },
  ejected: { tone: "failed", shut: true, mark: "⏏" },
  out: { tone: "failed", shut: true, mark: "⏏" },
  open: { tone: "failed", shut: true, mark: "⌁" },
  "half open": { tone: "warned", shut: false, mark: "½" },
  booting: { tone: "warned", shut: true, mark: "↻" },
  hung: { tone: "failed", shut: false, mark: "‖", hatched: true },
  failing: { tone: "failed", shut: false, mark: "!" },
  losing: { tone: "failed", shut: false, mark: "?" },
  slow: { tone: "warned", shut: false, mark: "▼" },
  fast: { tone: "blue", shut: false, mark: "▲" },
  longer: { tone: "warned", shut: false, mark: "↔" },
  draining: { tone: "warned", shut: true, mark: "⇥" },
  drained: { tone: "warned", shut: true, mark: "∅" },
  maintenance: { tone: "warned", shut: true, mark: "⚒" },
};
// For the legend.
const MEANINGS = {
  down: "out of service: crashed, or its checks failed",
  ejected: "taken out for a while: its requests failed",
  out: "taken out for a while: its requests failed",
  open: "breaker open: no requests go there",
  "half open": "breaker half open: a few trials",
  booting: "starts",
  hung: "accepts requests, and never answers",
  failing: "answers with errors, or fails its checks",
  losing: "loses requests",
  slow: "slower than usual",
  fast: "faster than usual",
  longer: "a longer way to it",
  draining: "ends what it has, gets no new requests",
  drained: "has ended what it had",
};
const TONES = ["failed", "warned", "blue", "faint"]; // the worst first
const UNKNOWN = { tone: "faint", shut: false, mark: "•" };
const OUT = { tone: "faint", shut: true, mark: "–" };

// Who leaves the pool has not failed.
const lookOf = (change) =>
  change.kind === "member" ? OUT : STATES[change.state.replaceAll("_", " ").replaceAll("-", " ")] ?? UNKNOWN;

// What is said of a server's state: "✕ down", "▼ slow ×0.3", "✕ check: down"
function badges(now) {
  const found = now.states.map((change) => {
    const look = lookOf(change);
    const about = { check: "check: ", breaker: "breaker " }[change.kind] ?? "";
    const value = change.value !== null && look.mark.match(/[▼▲]/) ? ` ×${brief(change.value)}` : "";
    const short = about ? `${look.mark} ${change.kind}` : ""; // where there is no room for more
    return { ...look, kind: change.kind, short, text: `${look.mark} ${about}${change.state.replaceAll("_", " ")}${value}` };
  });
  if (!now.member) found.push({ ...OUT, kind: "member", short: "– not in pool", text: "– not in the pool" });
  return found.sort((one, other) => TONES.indexOf(one.tone) - TONES.indexOf(other.tone));
}

// What is said of a server that is not as usual: "speed 0.5 · weight 2 · zone a"
function traits(film, number, now, short) {
  const server = film.servers[number];
  const words = server.sharing ? ["shared"] : [];
  if (server.speed !== 1) words.push(`${short ? "×" : "speed "}${brief(server.speed)}`);
  if (server.weight !== 1 || now.weight !== server.weight) words.push(`${short ? "w " : "weight "}${brief(now.weight)}`);
  if (server.zone) words.push(short ? server.zone : `zone ${server.zone}`);
  if (server.queue !== null && server.queue !== undefined) words.push(`${short ? "q ≤" : "queue up to"} ${server.queue}`);
  return words;
}

const OUTCOME_WORDS = {
  ok: "answered", failed: "failed", denied: "denied (429)", refused: "refused (503)", timeout: "timed out",
  left: "left (client gave up)", cancelled: "cancelled", unfinished: "unfinished",
};
