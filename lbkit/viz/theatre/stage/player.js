// The clock: the only thing that changes by itself. `changed(player)` is called after each change.

const STEP_SHOWN = 0.5; // seconds on the screen in which a step forward is played
const [SLOWEST, FASTEST] = [-2, 1]; // powers of ten

class Player {
  constructor(span, changed) {
    Object.assign(this, { t: span.begin, playing: false, power: 0, goal: null, waits: false, following: null, changed });
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.over(span);
  }

  // Plays over another span from now on: of another film.
  over({ begin, end, pace, steps }) {
    Object.assign(this, { begin, end, pace, steps });
    this.t = clamp(this.t, begin, end);
  }

  get speed() {
    return 10 ** this.power;
  }

  // Seconds of film in a second on the screen.
  get rate() {
    return this.pace * this.speed;
  }

  seek(t) {
    this.goal = this.following = null;
    this.t = clamp(t, this.begin, this.end);
    this.changed(this);
  }

  toggle() {
    if (this.playing) return this.pause();
    if (this.still.matches) return this.step(1); // no motion: a step at a time
    if (this.t >= this.end) this.t = this.begin;
    this.goal = null;
    this.start();
  }

  pause() {
    this.playing = false;
    this.goal = this.following = null;
    this.changed(this);
  }

  // From the beginning; without motion it stands there.
  again() {
    this.seek(this.begin);
    if (!this.still.matches) this.start();
  }

  start() {
    const going = this.playing;
    this.playing = true;
    this.last = performance.now();
    this.changed(this);
    if (!going) requestAnimationFrame((now) => this.tick(now));
  }

  // To the next decision, or the one before.
  step(way) {
    this.following = null;
    const next = until(this.steps, way < 0 ? this.t : this.goal ?? this.t);
    if (way < 0) {
      const here = this.steps[next - 1] === this.t ? next - 2 : next - 1;
      this.playing = false;
      return this.seek(here < 0 ? this.begin : this.steps[here]);
    }
    const goal = next < this.steps.length ? this.steps[next] : this.end;
    if (this.still.matches) {
      this.playing = false;
      return this.seek(goal);
    }
    this.goal = goal;
    this.start();
  }

  faster(by) {
    this.following = null;
    this.power = clamp(Math.round((this.power + by) * 10) / 10, SLOWEST, FASTEST);
    this.changed(this);
  }

  tick(now) {
    if (!this.playing) return;
    const passed = clamp((now - this.last) / 1000, 0, 0.1); // a page that was hidden does not leap
    this.last = now;
    if (this.following) this.follow(passed, now);
    else if (!this.waits) this.advance(passed);
    this.changed(this);
    if (this.playing) requestAnimationFrame((next) => this.tick(next));
  }

  // A session that runs; without motion, a picture a second.
  follow(passed, clock) {
    const t = chase(this.t, passed, this.following, this.following.delay, clock);
    this.t = clamp(this.still.matches ? Math.floor(t) : t, this.begin, this.end);
  }

  advance(passed) {
    const rate = this.goal === null ? this.rate : Math.max(this.rate, (this.goal - this.from()) / STEP_SHOWN);
    const stop = this.goal ?? this.end;
    this.t = Math.min(stop, this.t + passed * rate);
    if (this.t < stop) return;
    this.playing = false;
    this.goal = this.origin = null;
  }

  // Where the step under way began.
  from() {
    if (this.origin?.goal !== this.goal) this.origin = { goal: this.goal, t: this.t };
    return this.origin.t;
  }
}

// The span of one film, or of two side by side.
function spanOf(indexes) {
  const steps = new Set(indexes.flatMap((index) => [...index.steps]));
  return {
    begin: Math.min(...indexes.map((index) => index.begin)),
    end: Math.max(...indexes.map((index) => index.end)),
    pace: indexes[0].film.pace,
    steps: Float64Array.from(steps).sort(),
  };
}
