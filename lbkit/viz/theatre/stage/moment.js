// What is on the stage at time t: a pure function of the film and t, without pixels.
//
// A dot has a `phase`: "in" (client to balancer), "held" (at the balancer), "follow" (at the cache), "out" (balancer to server), "wait",
// "work", "back" (server to balancer), "home" (balancer to client), "fade" (gone where it stood); `p` is how far
// it is in it, from 0 to 1.

const FAILURES = new Set(["failed", "refused", "timeout"]);
const REJECTIONS = new Set(["denied", "left"]); // by a limit, or by the client
const FADING = new Set(["left", "cancelled"]); // nothing goes back: nobody waits for it

function momentAt(index, t) {
  const moment = {
    t,
    policy: index.policies.findLast((change) => change.at <= t)?.state ?? index.film.policy,
    dots: [],
    held: 0,
    probes: probesAt(index, t),
    panics: index.panic ? panicAt(index, t)?.on : false,
    following: 0, // what others are fetching
    queues: index.film.servers.map(() => []),
    servers: index.film.servers.map((server, i) => serverAt(index, server, i, t)),
    tiers: (index.film.tiers ?? []).map((tier, i) => serverAt(index, tier, index.film.servers.length + i, t)),
  };
  eachOnStage(index, t, (request) => placeRequest(index, moment, request));
  moment.queues.forEach((queue, server) => placeQueue(index, moment, queue, server));
  return moment;
}

function serverAt(index, server, number, t) {
  const now = { busy: 0, waiting: 0, states: [], weight: server.weight };
  now.member = server.member ?? true;
  for (const [kind, { changes, times }] of index.states[number]) {
    const change = changes[until(times, t) - 1];
    if (!change) continue;
    if (kind === "weight") now.weight = change.value ?? now.weight;
    else if (kind === "member") now.member = MEMBER.has(change.state);
    else if (!CALM.has(change.state)) now.states.push(change);
  }
  return now;
}

// The probes on their way: to the server (p from 0 to 1), there (1), or back, with their outcome (from 1 to 0).
function probesAt({ probes, flight }, t) {
  const found = [];
  const { server, sent, back, fault, longest } = probes;
  for (let i = until(sent, t - longest); i < sent.length && sent[i] <= t; i++) {
    if (t < back[i]) found.push({ server: server[i], p: Math.min(1, (t - sent[i]) / flight), outcome: "" });
    else if (t < back[i] + flight)
      found.push({ server: server[i], p: 1 - (t - back[i]) / flight, outcome: fault[i] ? "failed" : "passed" });
  }
  return found;
}

function placeRequest(index, moment, request) {
  const { requests, attempts, attemptsOf, flight } = index;
  const { t, dots } = moment;
  const sent = requests.sent[request];
  if (t < sent) {
    const cached = cacheOf(index, request, sent) !== "";
    dots.push({ phase: "in", request, attempt: -1, p: 1 - (sent - t) / flight, cached });
    return;
  }
  const last = attemptsOf.start[request + 1];
  let held = true; // by the balancer: no attempt is under way, but for those of a cache behind its back
  let tried = false;
  for (let k = attemptsOf.start[request]; k < last; k++) {
    const attempt = attemptsOf.list[k];
    if (attempts.at[attempt] > t) break;
    const over = placeAttempt(index, moment, request, attempt, k === last - 1);
    if (isRefresh(index, attempt)) continue;
    held = over && held;
    tried = true;
  }
  if (held) placeHeld(index, moment, request, tried);
}

const isRefresh = ({ attempts, film }, attempt) => film.kinds[attempts.kind[attempt]] === "refresh";

function placeHeld(index, moment, request, tried) {
  const answered = never(index.requests.answered[request]);
  const cache = cacheOf(index, request, moment.t);
  const dot = { request, attempt: -1, p: 0 };
  if (moment.t < answered) {
    if (cache) moment.dots.push({ ...dot, phase: "follow", place: moment.following++ });
    else moment.dots.push({ ...dot, phase: "held", place: moment.held++ });
  } else if (!tried || cache === "answer") {
    const outcome = index.film.outcomes[index.requests.outcome[request]];
    homeward(moment, { ...dot, outcome, cached: cache === "answer" }, answered, index.flight);
  }
}

// From the balancer to the client; or nothing but a fading dot, if the client has gone.
function homeward(moment, dot, from, flight) {
  const p = (moment.t - from) / flight;
  if (p < 1) moment.dots.push({ ...dot, phase: FADING.has(dot.outcome) ? "fade" : "home", p });
}

// Returns whether it is over, seen from the balancer.
function placeAttempt(index, moment, request, attempt, isLast) {
  const { attempts, leaves, flight, film } = index;
  const { t, dots } = moment;
  const server = attempts.server[attempt];
  const start = never(attempts.start[attempt]);
  const arrives = attempts.at[attempt] + flight;
  const dot = { request, attempt, server, slot: index.slots[attempt], outcome: "" };
  if (t < leaves[attempt]) {
    // In its place in the queue until it starts, or on its way there.
    if (t < start || t < arrives || t < start + flight / 2) moment.queues[server].push(dot);
    if (t >= start) moment.servers[server].busy++;
    else moment.servers[server].waiting++;
    if (t < arrives) Object.assign(dot, { phase: "out", p: 1 - (arrives - t) / flight, direct: start <= arrives });
    else if (t < start) Object.assign(dot, { phase: "wait", p: 1 });
    else Object.assign(dot, { phase: "work", p: (t - start) / (never(attempts.end[attempt]) - start) || 0 });
    dot.since = (t - Math.max(start, arrives)) / (flight / 2); // of its way from the queue to the worker
    if (start <= arrives) dot.since = 1;
    dots.push(dot);
    return false;
  }
  dot.outcome = film.outcomes[attempts.outcome[attempt]];
  const p = (t - leaves[attempt]) / flight;
  if (FADING.has(dot.outcome)) {
    if (p < 1) dots.push({ ...dot, phase: "fade", p });
  } else if (p < 1) dots.push({ ...dot, phase: "back", p });
  else if (answers(index, request, attempt, isLast)) homeward(moment, dot, leaves[attempt] + flight, flight);
  return true;
}

// Whether the client gets what this attempt brought back.
function answers(index, request, attempt, isLast) {
  const { requests, attempts, film } = index;
  if (isRefresh(index, attempt)) return false;
  const same = attempts.outcome[attempt] === requests.outcome[request];
  return same && (isLast || film.outcomes[requests.outcome[request]] === "ok");
}

// The places in a queue. A dot that has just left it still takes up a part of its place, so that those behind
// move up smoothly.
function placeQueue({ attempts, flight }, { t }, queue, server) {
  queue.sort((a, b) => attempts.at[a.attempt] - attempts.at[b.attempt]);
  let ahead = 0;
  for (const dot of queue) {
    dot.place = ahead;
    const start = never(attempts.start[dot.attempt]);
    const arrives = attempts.at[dot.attempt] + flight;
    if (start > arrives) ahead += t < start ? 1 : 1 - ease((t - start) / (flight / 2));
  }
}
