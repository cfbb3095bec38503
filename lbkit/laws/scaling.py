"""The universal scalability law: what more workers, processes or servers bring, and when they bring less.

With N of them the throughput is

    X(N) = rate N / (1 + contention (N - 1) + coherency N (N - 1))

One of them does `rate`. `contention` is the share of the work that they cannot do at the same time: a lock, a
database, a queue (with it alone, this is Amdahl's law). `coherency` is what each pair of them costs to agree:
caches that are kept alike, leaders that are elected, gossip. It makes the throughput fall again.

It is fitted by least squares of relative errors. N / X(N) is a polynomial with coefficients 1 / rate,
contention / rate and coherency / rate, so this needs no search, and no first guess.
(Gunther, Guerrilla Capacity Planning, Springer 2007, chapters 4 to 6.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from math import inf, sqrt
from operator import mul

from lbkit.core.options import number
from lbkit.core.text import shown
from lbkit.stats import Interval, student_t

Point = tuple[float, float]  # N, and the throughput with it


@dataclass(frozen=True, slots=True)
class Scalability:
    """The law with its numbers. `rate`: requests a second that one worker does.

    Raises ValueError for a rate that is not above 0, and for other numbers below 0."""

    rate: float
    contention: float = 0.0
    coherency: float = 0.0

    def __post_init__(self) -> None:
        number(0, above=True, rate=self.rate)
        number(0, contention=self.contention, coherency=self.coherency)

    def throughput(self, workers: float) -> float:
        """Return the requests a second that so many workers do. Raises ValueError for fewer than one."""
        number(1, workers=workers)
        others = workers - 1
        return self.rate * workers / (1 + self.contention * others + self.coherency * workers * others)

    @property
    def best(self) -> float:
        """The number of workers with the highest throughput, a fraction; inf if it never falls."""
        if not self.coherency:
            return inf
        return sqrt(max(1.0, (1 - self.contention) / self.coherency))


@dataclass(frozen=True, slots=True)
class Fit:
    """The law that fits some measurements, and how far each of its numbers may be off."""

    law: Scalability
    rate: Interval
    contention: Interval
    coherency: Interval

    def __str__(self) -> str:
        return (
            f"one does {self.rate} a second; contention {self.contention}, coherency {self.coherency};"
            f" best with {self.law.best:.3g}"
        )


def fit_scalability(points: Iterable[Point], confidence: float = 0.95) -> Fit:
    """Return the law that fits best to measured points (N, throughput), and intervals of its numbers.

    A number that would come out below 0 is set to 0; then its interval is as wide as without this bound. The
    intervals show the scatter around the curve, not whether it is the right curve: draw it.

    Raises ValueError for fewer than three different N, N below 1, or a throughput that is not above 0."""
    known = _checked(points)
    # Each row over N / X: all rows have the same relative error then.
    columns = [
        [basis(n) * x / n for n, x in known]
        for basis in (lambda n: 1.0, lambda n: n - 1, lambda n: n * (n - 1))
    ]
    free = _Squares(columns)
    bounded = min(
        (
            fit
            for fit in (free, *_with_less(columns))
            if fit.coefficients[0] > 0 and min(fit.coefficients) >= 0
        ),
        key=lambda fit: fit.error,
    )
    one, *others = bounded.coefficients
    law = Scalability(1 / one, *(other / one for other in others))
    spare = len(known) - sum(bounded.used)
    times = student_t(confidence, spare) * sqrt(bounded.error / spare) if spare > 0 else inf

    def known_to(slopes: Sequence[float], name: int) -> float:
        """Return half the width of an interval, given how the number changes with each coefficient."""
        fit = bounded if bounded.used[name] else free
        return times * fit.deviation(slopes)

    halves = [
        known_to((1 / one**2, 0.0, 0.0), 0),
        known_to((law.contention / one, -1 / one, 0.0), 1),
        known_to((law.coherency / one, 0.0, -1 / one), 2),
    ]
    numbers = (law.rate, law.contention, law.coherency)
    return Fit(
        law, *(Interval(n, half, len(known), confidence) for n, half in zip(numbers, halves, strict=True))
    )


def _checked(points: Iterable[Point]) -> list[Point]:
    known = list(points)
    for n, x in known:
        number(1, N=n)
        number(0, above=True, throughput=x)
    if len({n for n, _ in known}) < 3:
        raise ValueError(
            f"points are {shown(known)}: the law has three numbers, so it needs three different N at least"
        )
    return known


# -- least squares -------------------------------------------------------------------------------------------


class _Squares:
    """The linear combination of columns that is nearest to all ones, by Gram and Schmidt.

    `used`: the columns that take part; the others have the coefficient 0."""

    def __init__(self, columns: Sequence[Sequence[float]], used: Sequence[bool] = (True, True, True)) -> None:
        self.used = used
        rest = [1.0] * len(columns[0])
        directions: list[list[float]] = []
        # Of each direction, its coefficients in terms of the columns: with them nothing has to be solved.
        self._made: list[list[float]] = []
        for i in compress(range(len(columns)), used):
            left, made = list(columns[i]), [float(i == j) for j in range(len(columns))]
            for direction, of in zip(directions, self._made, strict=True):
                part = _dot(direction, left)
                left = [a - part * b for a, b in zip(left, direction, strict=True)]
                made = [a - part * b for a, b in zip(made, of, strict=True)]
            length = sqrt(_dot(left, left))
            directions.append([a / length for a in left])
            self._made.append([a / length for a in made])
        self.coefficients = [0.0] * len(columns)
        for direction, of in zip(directions, self._made, strict=True):
            part = _dot(direction, rest)
            rest = [a - part * b for a, b in zip(rest, direction, strict=True)]
            self.coefficients = [a + part * b for a, b in zip(self.coefficients, of, strict=True)]
        self.error = _dot(rest, rest)

    def deviation(self, slopes: Sequence[float]) -> float:
        """Return the standard deviation of a number that changes by `slopes` with the coefficients, where
        that of each row is 1."""
        return sqrt(sum(_dot(slopes, of) ** 2 for of in self._made))


def _with_less(columns: Sequence[Sequence[float]]) -> list[_Squares]:
    """Return the fits in which coefficients are 0."""
    return [_Squares(columns, (True, a, b)) for a, b in ((True, False), (False, True), (False, False))]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return float(sum(map(mul, a, b)))
