"""Statistics of plain numbers: percentiles, fairness, queue levels, transients and confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import cos, floor, inf, isfinite, nan, pi, sin, sqrt, tan
from statistics import fmean, stdev, variance

from lbkit.core.options import real

PERCENTILES = (50, 90, 95, 99, 99.9)  # those that figures and tables show


def percentile(ordered: Sequence[float], q: float) -> float:
    """Return the q-th percentile of ascending values, linear between closest ranks; nan without any."""
    if not real(q) or not 0 <= q <= 100:
        raise ValueError(f"q is {q!r}: percentiles go from 0 to 100")
    if not ordered:
        return nan
    rank = (len(ordered) - 1) * q / 100
    low = floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def mean(values: Iterable[float]) -> float:
    """Return the mean of the values that are numbers; nan without any."""
    numbers = [value for value in values if value == value]
    return sum(numbers) / len(numbers) if numbers else nan


def jain(loads: Sequence[float]) -> float:
    """Return Jain's fairness index, (sum x)^2 / (n sum x^2); nan without any load."""
    squares = sum(x * x for x in loads)
    return sum(loads) ** 2 / (len(loads) * squares) if squares else nan


def mean_level(arrivals: Iterable[float], ends: Iterable[float], start: float, stop: float) -> float:
    """Return the time average, from `start` to `stop`, of the requests in the system.

    Each request adds the part of its stay that lies between the two: the L of Little's law."""
    stays = (min(end, stop) - max(arrival, start) for arrival, end in zip(arrivals, ends, strict=True))
    return sum(stay for stay in stays if stay > 0) / (stop - start)


def busy_time(stays: Iterable[tuple[float, float]], workers: int, start: float, stop: float) -> float:
    """Return the seconds that `workers` work between `start` and `stop`, all added up.

    Of the stays, (begin, end) each, no more than `workers` keep one busy at the same time."""
    changes = sorted(change for begin, end in stays for change in ((begin, 1), (end, -1)))
    busy, level, since = 0.0, 0, start
    for moment, step in changes:
        moment = min(max(moment, start), stop)
        busy += min(level, workers) * (moment - since)
        level, since = level + step, moment
    return busy


def transient(values: Sequence[float]) -> int:
    """Return how many of the first values belong to the transient: the truncation point of MSER.

    It minimises the squared standard error of the mean of what is left. A point in the second half says that
    the run is too short to tell. Over batches of five (MSER-5), or more, so that there are about 200: then
    turns between a fast and a slow server are no noise. (White, Simulation 69, 1997.)"""
    batch = max(5, len(values) // 200)
    means = [fmean(values[i : i + batch]) for i in range(0, len(values) - batch + 1, batch)]
    if not means:
        return 0
    # From the end: sums over the last k batches, and from them the error of their mean. At least five are
    # left, as fewer may be alike by chance.
    sums = accumulate(reversed(means))
    squares = accumulate(m * m for m in reversed(means))
    errors = [(s2 - s * s / k) / k**2 for k, (s, s2) in enumerate(zip(sums, squares, strict=True), 1)]
    left = min(range(min(5, len(means)), len(means) + 1), key=lambda k: (errors[k - 1], -k))
    return (len(means) - left) * batch


def stands_out(values: Sequence[float], point: int, groups: int = 20) -> bool:
    """Return whether the values before `point` differ from those after it by more than chance explains.

    Values that follow each other are alike, so it compares the means of groups of them: the two sides differ
    if their means are more than three standard errors apart. True where there are too few to tell."""
    size = len(values) // groups
    before = round(point / size) if size else 0
    if not 0 < before <= groups - 2:
        return point > 0
    means = [fmean(values[i * size : (i + 1) * size]) for i in range(groups)]
    sides = means[:before], means[before:]
    spread = sum((len(side) - 1) * variance(side) for side in sides if len(side) > 1) / (groups - 2)
    error = sqrt(spread * sum(1 / len(side) for side in sides))
    return abs(fmean(sides[0]) - fmean(sides[1])) > 3 * error


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval: `mean` ± `half`. In text, "0.352 ± 0.021"."""

    mean: float
    half: float  # half the width; inf for a single value, which says nothing of the spread
    count: int  # of values
    confidence: float = 0.95

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __mul__(self, factor: float) -> Interval:
        """Return the same in another unit, as in `seconds * 1e3`; `factor` is above 0."""
        return Interval(self.mean * factor, self.half * factor, self.count, self.confidence)

    def __str__(self) -> str:
        return format(self, ".3g")

    def __format__(self, form: str) -> str:
        """Return both numbers in the form, without the d of whole numbers: a mean of them has a fraction.

        Of half widths below 100, digits after the second one say nothing: ".3g" gives "7.65 ± 0.82"."""
        form = form.replace("d", ".0f") or ".3g"
        short = ".2g" if form == ".3g" and self.half < 99.5 else form
        return f"{self.mean:{form}} ± " + (f"{self.half:{short}}" if isfinite(self.half) else "?")


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Return the mean of independent values and its t interval. Values that are nan are left out."""
    numbers = [value for value in values if value == value]
    if len(numbers) < 2:
        return Interval(numbers[0] if numbers else nan, inf, len(numbers), confidence)
    error = stdev(numbers) / sqrt(len(numbers))
    return Interval(fmean(numbers), student_t(confidence, len(numbers) - 1) * error, len(numbers), confidence)


@cache
def student_t(confidence: float, freedom: int) -> float:
    """Return the t that a Student variable with `freedom` degrees of freedom stays within, in absolute
    value, with probability `confidence`: 2.262 for 0.95 and 9."""
    if not real(confidence) or not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}: use a number between 0 and 1, such as 0.95")
    low, high = 0.0, pi / 2
    for _ in range(60):  # the angle, to the last bit
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < confidence else (low, angle)
    return sqrt(freedom) * tan(low)


def _within(angle: float, freedom: int) -> float:
    """Return P(|T| < t) for angle = atan(t / sqrt(freedom)). (Abramowitz and Stegun, 26.7.3 and 26.7.4.)"""
    odd = freedom % 2
    term = total = cos(angle) if odd else 1.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= cos(angle) ** 2 * (k - 1) / k
        total += term
    if not odd:
        return sin(angle) * total
    return 2 / pi * (angle + (sin(angle) * total if freedom > 1 else 0.0))
