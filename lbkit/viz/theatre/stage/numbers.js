// Small helpers for numbers, times and words.

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const mix = (from, to, share) => from + (to - from) * share;
const ease = (p) => (p <= 0 ? 0 : p >= 1 ? 1 : p * p * (3 - 2 * p));
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

// How many of the sorted `times` are at or before t.
function until(times, t) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Three digits, more for large numbers, never an exponent where people would not write one.
function brief(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(3));
}

// Decimals so that a hundredth of a second on the screen at speed 1 can be told apart.
function clockText(t, pace) {
  return `${t.toFixed(clamp(Math.ceil(-Math.log10(pace)) + 1, 1, 6))} s`;
}
