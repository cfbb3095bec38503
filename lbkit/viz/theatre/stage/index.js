// A film, indexed: wherever the time is, a frame looks at the requests in flight only.

const EVERY = 256; // requests between two lists of those on the stage
const BINS = 240; // of the curve above the scrub bar

const never = (time) => (time === null || time === undefined ? Infinity : time);

function indexed(film) {
  const { requests, attempts } = film;
  const index = { film, requests, attempts, flight: film.flight, begin: film.start ?? 0, end: film.end };
  index.count = requests.sent.length;
  index.attemptsOf = grouped(attempts.request, index.count);
  // A dot needs a flight to the server, so it leaves no earlier than it arrives.
  index.leaves = Float64Array.from(attempts.at, (at, i) => Math.max(at + film.flight, never(attempts.end[i])));
  index.gone = goneTimes(index);
  index.onStage = checkpoints(index);
  index.slots = slots(index);
  index.steps = decisionTimes(index);
  index.cache = (film.props ?? []).find((prop) => prop.kind === "cache");
  index.shelf = index.cache && shelfOf(index.cache);
  index.own = ownAnswers(index);
  index.captions = film.captions ?? [];
  index.captionTimes = Float64Array.from(index.captions, (caption) => caption.at);
  index.states = statesByServer(film);
  index.changes = [...(film.states ?? []), ...(film.notices ?? [])].map((change) => change.at).sort((a, b) => a - b);
  index.policies = (film.states ?? []).filter((change) => change.kind === "policy").sort((a, b) => a.at - b.at);
  index.tints = (film.props ?? []).find((prop) => prop.kind === "ring");
  index.probes = probesOf(film);
  index.panic = film.props?.find(({ kind }) => kind === "health")?.panic;
  index.relays = (film.props ?? []).some(({ layer }) => layer === 4);
  index.notices = film.notices ?? [];
  index.noticeTimes = index.notices.map(({ at }) => at);
  index.done = doneTimes(index);
  index.curve = curve(index);
  return index;
}

// For each owner the rows that name it, in their order: rows of owner i are list[start[i]] to list[start[i + 1]].
function grouped(owners, count) {
  const start = new Int32Array(count + 1);
  for (const owner of owners) start[owner + 1]++;
  for (let i = 0; i < count; i++) start[i + 1] += start[i];
  const next = start.slice();
  const list = new Int32Array(owners.length);
  owners.forEach((owner, row) => (list[next[owner]++] = row));
  return { start, list };
}

// When the last dot of each request has left the stage.
function goneTimes({ requests, attempts, leaves, flight, count }) {
  const gone = new Float64Array(count);
  for (let i = 0; i < count; i++) gone[i] = never(requests.answered[i]) + 2 * flight;
  attempts.request.forEach((request, i) => {
    if (leaves[i] < Infinity) gone[request] = Math.max(finite(gone[request]), leaves[i] + 2 * flight);
    else gone[request] = Infinity;
  });
  return gone;
}

const finite = (time) => (time < Infinity ? time : 0);

// The requests on the stage when number 0, 256, 512... comes: a frame adds the few that have come since.
function checkpoints({ requests, gone, flight, count }) {
  const lists = [];
  let staying = [];
  for (let first = 0; first < count; first += EVERY) {
    const now = requests.sent[first] - flight;
    staying = staying.filter((i) => gone[i] > now);
    lists.push(Int32Array.from(staying));
    for (let i = first; i < Math.min(count, first + EVERY); i++) staying.push(i);
  }
  return lists;
}

// Call `visit` with each request that is on the stage at t, in the order of their coming.
function eachOnStage({ requests, gone, flight, onStage }, t, visit) {
  const come = until(requests.sent, t + flight);
  if (come === 0) return;
  const checkpoint = Math.floor((come - 1) / EVERY);
  for (const i of onStage[checkpoint]) if (gone[i] > t) visit(i);
  for (let i = checkpoint * EVERY; i < come; i++) if (gone[i] > t) visit(i);
}

// The worker slot of each attempt: the first that is free when it starts, if it has none from before.
function slots({ film, attempts }) {
  const slot = new Int16Array(attempts.at.length).fill(-1);
  const busy = film.servers.map(() => []);
  const served = [...attempts.at.keys()].filter((i) => attempts.start[i] !== null);
  served.sort((a, b) => attempts.start[a] - attempts.start[b]);
  for (const i of served) {
    const until = busy[attempts.server[i]];
    let free = attempts.slot?.[i] ?? -1;
    if (free < 0) free = until.findIndex((end) => end === undefined || end <= attempts.start[i] + 1e-9);
    if (free < 0) free = until.length;
    until[free] = never(attempts.end[i]);
    slot[i] = free;
  }
  return slot;
}

// The times to step through: each choice of a server, and each refusal at the balancer.
function decisionTimes({ requests, attempts, attemptsOf, count }) {
  const times = new Set(attempts.at);
  for (let i = 0; i < count; i++)
    if (attemptsOf.start[i] === attemptsOf.start[i + 1]) times.add(requests.sent[i]);
  return Float64Array.from(times).sort();
}

// The requests that the balancer answers itself, in order of the answers.
function ownAnswers({ film, shelf, requests, attemptsOf, count }) {
  const found = [];
  for (let i = 0; i < count; i++) {
    if (attemptsOf.start[i] !== attemptsOf.start[i + 1] || requests.answered[i] === null) continue;
    const cached = shelf?.of.has(i) && film.outcomes[requests.outcome[i]] === "ok"; // the cache's caption says more
    if (!cached) found.push(i);
  }
  found.sort((a, b) => requests.answered[a] - requests.answered[b]);
  return { requests: found, times: Float64Array.from(found, (i) => requests.answered[i]) };
}

// The servers, and then the tiers above them: a state is about one of these.
const nodesOf = ({ servers, tiers }) => [...servers, ...(tiers ?? [])];

// For each server or tier a map from the kind of state to its changes, sorted by time.
function statesByServer(film) {
  const states = nodesOf(film).map(() => new Map());
  const numbers = new Map(nodesOf(film).map((node, i) => [node.name, i]));
  for (const change of film.states ?? []) {
    const kinds = states[numbers.get(change.server) ?? change.server];
    if (!kinds) continue; // about something that is no server
    if (!kinds.has(change.kind)) kinds.set(change.kind, []);
    kinds.get(change.kind).push(change);
  }
  for (const kinds of states)
    for (const [kind, changes] of kinds) {
      changes.sort((a, b) => a.at - b.at);
      kinds.set(kind, { changes, times: changes.map((change) => change.at) });
    }
  return states;
}

// The probes of health checks in order of their sending, and how long one takes at most.
function probesOf({ props, flight }) {
  const { server, sent, ended, fault } = props?.find(({ kind }) => kind === "health")?.probes ?? { sent: [] };
  const back = sent.map((at, i) => Math.max(ended[i], at + flight)); // it flies to the server before it comes back
  return { server, sent, back, fault, longest: sent.reduce((most, at, i) => Math.max(most, back[i] + flight - at), 0) };
}

// The times at which requests ended, sorted, by outcome.
function doneTimes({ film, requests, count }) {
  const done = Object.fromEntries(film.outcomes.map((outcome) => [outcome, []]));
  for (let i = 0; i < count; i++)
    if (requests.answered[i] !== null) done[film.outcomes[requests.outcome[i]]].push(requests.answered[i]);
  for (const times of Object.values(done)) times.sort((a, b) => a - b);
  return done;
}

// How many are in flight, fail, and are denied or given up, in each of BINS parts of the film.
function curve({ requests, film, count, begin, end }) {
  const inFlight = new Float64Array(BINS);
  const failures = new Float64Array(BINS);
  const rejections = new Float64Array(BINS);
  const bin = (t) => clamp(Math.floor(((t - begin) / (end - begin || 1)) * BINS), 0, BINS - 1);
  for (let i = 0; i < count; i++) {
    const last = bin(Math.min(never(requests.answered[i]), end));
    for (let b = bin(requests.sent[i]); b <= last; b++) inFlight[b]++;
    if (requests.answered[i] === null) continue;
    const outcome = film.outcomes[requests.outcome[i]];
    if (FAILURES.has(outcome)) failures[last]++;
    else if (REJECTIONS.has(outcome)) rejections[last]++;
  }
  return { inFlight, failures, rejections };
}
