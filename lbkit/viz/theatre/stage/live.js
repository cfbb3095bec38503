// A running session: the requests that come from Python a few times a second, and a clock that follows them.

const LEAP = 2; // seconds behind from which the clock leaps instead of running faster
const SPOKEN = 5000; // milliseconds between two summaries for screen readers

// The last requests that came, and the film of them. A row is [number, sent, answered, client, size, status, outcome,
// attempts], an attempt [server, at, start, end, kind, outcome, slot]; the slot is found here.
class Reel {
  constructor(film, { delay, most, pace, flight }) {
    Object.assign(this, { opening: { ...film, live: true }, delay, most, usual: { pace, flight } });
    this.rows = new Map();
    this.states = [];
    this.notes = [];
    this.now = film.end;
    this.least = -1; // the highest number that was dropped
  }

  add({ now, requests, states, notes }) {
    this.now = Math.max(this.now, now);
    this.states = states ?? this.states;
    this.notes = notes ?? this.notes;
    for (const row of requests) {
      if (row[0] <= this.least) continue;
      this.keepSlots(row);
      this.rows.set(row[0], row);
    }
    for (const number of this.rows.keys()) {
      if (this.rows.size <= this.most) break;
      this.rows.delete(number);
      this.least = Math.max(this.least, number);
    }
  }

  // An attempt that has a worker's slot keeps it: a dot does not jump.
  keepSlots(row) {
    const before = this.rows.get(row[0])?.[7] ?? [];
    row[7].forEach((attempt, i) => (attempt[6] = before[i]?.[6] ?? -1));
  }

  // The film so far, indexed; `usual`: at the pace and with the flights of any film, for slow motion.
  index(usual = false) {
    const rows = [...this.rows.values()].sort((one, other) => one[1] - other[1]);
    const column = (i) => rows.map((row) => row[i]);
    const [row, sent, answered, client, size, status, outcome] = [0, 1, 2, 3, 4, 5, 6].map(column);
    const tried = rows.flatMap((row, request) => row[7].map((attempt) => ({ request, attempt })));
    tried.sort((one, other) => one.attempt[1] - other.attempt[1]);
    const of = (i) => tried.map(({ attempt }) => attempt[i]);
    const [server, at, start, end, kind, ended, slot] = [0, 1, 2, 3, 4, 5, 6].map(of);
    const index = indexed({
      ...this.opening,
      ...(usual ? this.usual : {}),
      start: Math.min(this.now, sent[0] ?? this.opening.start),
      end: this.now,
      requests: { row, sent, answered, client, size, status, outcome },
      attempts: { request: tried.map(({ request }) => request), server, at, start, end, kind, outcome: ended, slot },
      states: this.states,
      notes: this.notes,
    });
    tried.forEach(({ attempt }, i) => (attempt[6] = index.slots[i]));
    return index;
  }
}

// Where a clock at t is `passed` seconds later that follows what was `heard`: {now, at} on the page's clock, in
// milliseconds. It runs a little faster or slower, so that nothing jumps, and never beyond what is known.
function chase(t, passed, { now, at }, delay, clock) {
  const goal = Math.min(now, now + (clock - at) / 1000 - delay);
  const behind = goal - t;
  if (Math.abs(behind) > LEAP) return goal;
  return Math.min(now, t + passed * clamp(1 + behind, 0.5, 2));
}

// What the theatre does with a reel. `following`: the player is at the present; else it plays what was kept.
class Live {
  constructor(theatre, film, live) {
    this.theatre = theatre;
    this.reel = new Reel(film, live);
    this.frozen = false;
    this.legend = "";
    this.spoke = 0;
  }

  begin() {
    const { player, controls } = this.theatre;
    player.following = { delay: this.reel.delay, now: this.reel.now, at: performance.now() };
    player.power = 0;
    this.button ??= element(controls.bar, "button", "lbt-present", { type: "button" });
    this.button.onclick = () => this.present();
    player.start();
  }

  // The film of the whole rests where one was.
  end() {
    const { player } = this.theatre;
    if (player.following) player.playing = false;
    player.following = null;
    this.button?.remove();
  }

  // More from Python.
  add(news) {
    const { player } = this.theatre;
    this.reel.add(news);
    if (player.following) Object.assign(player.following, { now: this.reel.now, at: performance.now() });
    if (this.frozen || !player.following) return;
    this.put(this.reel.index(), news.states);
    if (performance.now() - this.spoke < SPOKEN) return;
    this.theatre.speak();
    this.spoke = performance.now();
  }

  put(index, states) {
    const { theatre } = this;
    const [stage] = theatre.stages;
    theatre.indexes = [index];
    stage.index = index;
    theatre.player.over(spanOf(theatre.indexes));
    if (states) {
      stage.rests = null;
      setTimeout(() => stage.knobs?.forEach((knob) => knob.renew()), 1000 * this.reel.delay + 100);
    }
    theatre.around(this.legend !== (this.legend = [...shownSymbols(theatre.indexes)].join()));
  }

  // After each change of the player: it may have left the present, to pause, step or scrub.
  shown() {
    const { player } = this.theatre;
    const present = player.following !== null;
    put(this.button, present ? "● live" : "go to live");
    this.button.title = present ? "it follows the session; pause, step or scrub to look closer" : "back to the running session";
    this.button.setAttribute("aria-pressed", present);
    if (present || this.frozen) return;
    this.frozen = true;
    this.put(this.reel.index(true), this.reel.states);
  }

  present() {
    this.frozen = false;
    this.begin();
    this.put(this.reel.index(), this.reel.states);
  }
}
