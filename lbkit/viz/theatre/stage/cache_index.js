// A cache prop, indexed once: what is on its shelf at a time, and what it has done for requests until then.

const shelves = new WeakMap(); // of each prop
const ANSWERS = new Set(["hit", "stale"]); // at once, from the cache
const HOWS = ["hit", "stale", "collapsed", "validated", "miss", "passed"];
const HOW_WORDS = {
  hit: ["hit", "hits"], stale: ["stale answer", "stale answers"], miss: ["miss", "misses"],
  collapsed: ["waited for another's answer"], validated: ["validated"], passed: ["passed by"],
};

function shelfOf(prop) {
  if (!shelves.has(prop)) shelves.set(prop, indexedShelf(prop));
  return shelves.get(prop);
}

function indexedShelf({ cells, kept, fetches, lookups, how, before }) {
  const counts = {};
  for (const name of HOWS) {
    counts[name] = new Int32Array(lookups.at.length + 1).fill(before[name] ?? 0);
    lookups.how.forEach((code, i) => (counts[name][i + 1] = counts[name][i] + (how[code] === name)));
  }
  return {
    counts,
    count: 1 + Math.max(-1, ...cells.cell),
    keptOf: byKey(kept),
    fetchesOf: byKey(fetches),
    waits: [...lookups.at.keys()].filter((i) => lookups.until[i] > lookups.at[i]),
    evictions: kept.gone.filter((gone, i) => kept.why[i] === "evicted").sort((a, b) => a - b),
    of: new Map(lookups.request.map((request, i) => [request, i])),
  };
}

// The rows of columns about each key, in order of time.
function byKey(columns) {
  const found = new Map();
  columns.key.forEach((key, i) => (found.has(key) ? found.get(key).push(i) : found.set(key, [i])));
  return found;
}

const lasts = (from, to, t) => from <= t && t < never(to);

// What is in each cell at t: {cell, key, kept (row, or -1), fetches (rows), waiting (rows of lookups), left}.
function cellsAt(prop, t, linger) {
  const { cells, kept, fetches, lookups } = prop;
  const shelf = shelfOf(prop);
  const found = new Map();
  cells.key.forEach((key, i) => {
    const to = never(cells.to[i]);
    if (cells.from[i] > t || to + linger <= t) return;
    if (to <= t && found.has(cells.cell[i])) return; // another key has its place by now
    const here = (shelf.keptOf.get(key) ?? []).filter((row) => kept.at[row] <= t && never(kept.gone[row]) >= Math.min(t, to));
    found.set(cells.cell[i], {
      cell: cells.cell[i], key, left: to <= t, kept: here.at(-1) ?? -1,
      fetches: (shelf.fetchesOf.get(key) ?? []).filter((row) => lasts(fetches.at[row], fetches.end[row], t)),
      waiting: [],
    });
  });
  const cellOf = new Map([...found.values()].map((cell) => [cell.key, cell]));
  for (const row of shelf.waits)
    if (lasts(lookups.at[row], lookups.until[row], t)) cellOf.get(lookups.key[row])?.waiting.push(row);
  return [...found.values()];
}

// How many requests the cache has served in each way until t.
function servedAt(prop, t) {
  const { counts } = shelfOf(prop);
  const upto = until(prop.lookups.at, t);
  const found = HOWS.map((how) => [how, counts[how][upto]]).filter(([, count]) => count);
  const all = found.reduce((sum, [, count]) => sum + count, 0);
  const atOnce = found.reduce((sum, [how, count]) => sum + (ANSWERS.has(how) ? count : 0), 0);
  return { found, all, rate: all ? atOnce / all : null };
}

// Of a request: "" if it goes on to the servers, "answer" if the cache answers it, "wait" while it waits there for
// another's answer.
function cacheOf(index, request, t) {
  const row = index.shelf?.of.get(request);
  if (row === undefined) return "";
  const { lookups, how } = index.cache;
  const name = how[lookups.how[row]];
  if (ANSWERS.has(name) || name === "collapsed") return t < lookups.until[row] ? "wait" : "answer";
  return t < lookups.until[row] && t >= lookups.at[row] ? "wait" : "";
}
