// The frames that are known, and the moment that is shown: of a run that goes on, or of one that is over and
// played at its pace. A frame is [second, values by panel, flights, levels, lamps].

const [AT, VALUES, FLIGHTS, LEVELS, LAMPS] = [0, 1, 2, 3, 4];

class Clock {
  frames = [];
  notes = [];
  rests = false; // the viewer looks at one moment

  constructor(window, pace) {
    this.window = window;
    this.pace = pace; // undefined: a run that goes on
    this.shown = -1; // the number of the frame that is shown
    this.now = 0;
  }

  get live() {
    return this.pace === undefined;
  }

  get last() {
    return this.frames.length - 1;
  }

  get over() {
    return !this.live && this.shown === this.last;
  }

  get frame() {
    return this.frames[this.shown];
  }

  know(frames, notes) {
    [this.frames, this.notes] = [frames, notes];
    this.shown = this.live || !this.pace ? this.last : Math.min(0, this.last);
    this.now = this.frame?.[AT] ?? 0;
  }

  // Frames out of sight are forgotten, but not while somebody looks at one.
  add(frames, notes = []) {
    this.frames.push(...frames);
    this.notes.push(...notes);
    if (this.rests) {
      if (this.frames.length < 6000) return;
      this.rests = false;
    }
    const first = this.frames[this.last][AT] - this.window;
    this.frames.splice(0, this.frames.findIndex((frame) => frame[AT] >= first));
    this.notes.splice(0, Math.max(0, this.notes.findIndex(([at]) => at >= first)));
    this.shown = this.last;
  }

  // Let seconds pass, of a run that is over.
  pass(seconds) {
    if (this.live || this.rests || this.over) return false;
    this.now += seconds * this.pace;
    const before = this.shown;
    while (this.shown < this.last && this.frames[this.shown + 1][AT] <= this.now) this.shown += 1;
    return this.shown !== before;
  }

  step(by) {
    this.rests = true;
    this.shown = Math.max(0, Math.min(this.last, this.shown + by));
    this.now = this.frame[AT];
  }

  toggle() {
    if (this.over) {
      this.shown = 0;
      this.now = this.frame[AT];
      this.rests = false;
    } else {
      this.rests = !this.rests;
      if (!this.rests && this.live) this.shown = this.last;
    }
  }

  // The frames in sight, up to the one that is shown.
  get seen() {
    const from = this.frame[AT] - this.window;
    let first = this.shown;
    while (first > 0 && this.frames[first - 1][AT] >= from) first -= 1;
    return this.frames.slice(first, this.shown + 1);
  }

  get noted() {
    const [until, from] = [this.frame[AT], this.frame[AT] - this.window];
    return this.notes.filter(([at]) => at >= from && at <= until);
  }
}
