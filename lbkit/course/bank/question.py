"""What a question is, and how a variant of it is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

TRIES = 50  # draws of numbers, until one decides the question

Draw = random.Random


class Undecided(ValueError):
    """The numbers drawn leave a question without exactly one right answer: others are drawn."""


@dataclass(frozen=True, slots=True)
class Option:
    """An answer to choose. `holds` is computed; `thinks` is the misconception behind it, if it is wrong."""

    text: str
    holds: bool
    thinks: str = ""


class Scale(tuple[Option, ...]):
    """Options in an order of their own, such as sizes, which a variant keeps; others are shuffled."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Several answers, exactly one of which holds. `why`: what to say afterwards. Raises Undecided."""

    text: str
    options: tuple[Option, ...]
    why: str

    def __post_init__(self) -> None:
        if sum(option.holds for option in self.options) != 1 or len(self.options) < 2:
            raise Undecided(
                f"options that hold: {[o.text for o in self.options if o.holds]}, of {self.text!r}"
            )
        if silent := [option.text for option in self.options if not option.holds and not option.thinks]:
            raise ValueError(f"{silent[0]!r} is wrong: say which misconception it stands for (thinks)")

    @property
    def right(self) -> Option:
        return next(option for option in self.options if option.holds)


@dataclass(frozen=True, slots=True)
class Number:
    """A number to find. `slips`: the numbers that misconceptions lead to, by what somebody then believes.

    Raises Undecided where a slip is as good as the answer."""

    text: str
    answer: float
    unit: str
    why: str
    slips: Mapping[str, float]
    within: float = 0.05  # of the answer: what still counts as right

    def __post_init__(self) -> None:
        for thinks, slip in self.slips.items():
            if self.accepts(slip):
                raise Undecided(f"{self.text!r}: {slip:g} counts as right, but says that {thinks}")

    def accepts(self, number: float) -> bool:
        """Return whether a student's number is near enough."""
        return abs(number - self.answer) <= self.tolerance * (1 + 1e-9)

    @property
    def tolerance(self) -> float:
        """How far a right answer may be away, in its unit."""
        return abs(self.answer) * self.within


Asked = Choice | Number


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the bank: `make` draws its numbers and computes its answer.

    `cell`: of the notebook, whose experiment the answer comes from. `what_if`: it asks what will happen."""

    name: str
    notebook: str
    cell: str
    make: Callable[[Draw], Asked]
    what_if: bool = False

    @property
    def kind(self) -> str:
        asked = "numeric" if self.numeric else "multiple choice"
        return f"what happens if, {asked}" if self.what_if else asked

    @property
    def numeric(self) -> bool:
        return self.make.__annotations__["return"] in (Number, "Number")

    def variant(self, seed: int | str = 1) -> Variant:
        """Return the question with the numbers of a seed: the same ones each time. Raises RuntimeError where
        no draw decides it."""
        for attempt in range(TRIES):
            draw = random.Random(f"{self.name} {seed} {attempt}")
            try:
                asked = self.make(draw)
            except Undecided:
                continue
            if isinstance(asked, Choice) and not isinstance(asked.options, Scale):
                asked = Choice(asked.text, tuple(draw.sample(asked.options, len(asked.options))), asked.why)
            return Variant(self, seed, asked)
        raise RuntimeError(f"{self.name}: none of {TRIES} draws leaves exactly one right answer")


@dataclass(frozen=True, slots=True)
class Variant:
    """A question with its numbers."""

    question: Question
    seed: int | str
    asked: Asked


class Questions:
    """The questions of a notebook. With `ask = Questions("03-algorithms")`, `@ask("claim-a7")` adds one."""

    def __init__(self, notebook: str) -> None:
        self.notebook = notebook
        self.questions: list[Question] = []

    def __call__(
        self, cell: str, what_if: bool = False
    ) -> Callable[[Callable[[Draw], Asked]], Callable[[Draw], Asked]]:
        """Return a decorator that adds a function as a question about this cell."""

        def add(make: Callable[[Draw], Asked]) -> Callable[[Draw], Asked]:
            name = f"{self.notebook.partition('-')[0]}-{make.__name__.replace('_', '-')}"
            self.questions.append(Question(name, self.notebook, cell, make, what_if))
            return make

        return add


def times(count: float) -> str:
    """Return "once", "twice" or "3 times", as a question says it."""
    return "once" if count == 1 else "twice" if count == 2 else f"{count:g} times"


def extreme(
    values: Mapping[str, float], thinks: Mapping[str, str], most: bool = False, by: float = 1.15
) -> tuple[Option, ...]:
    """Return options of which the one with the smallest value holds, or with `most` the largest.

    Raises Undecided where the next one is nearer than by this factor."""
    ordered = sorted(values, key=values.__getitem__, reverse=most)
    low, high = sorted((values[ordered[0]], values[ordered[1]]))
    if high <= low * by:
        raise Undecided(f"{ordered[0]} and {ordered[1]} are too near: {low:g} and {high:g}")
    return tuple(Option(name, name == ordered[0], thinks.get(name, "")) for name in values)


def bands(value: float, options: Iterable[tuple[str, float, float, str]]) -> Scale:
    """Return options (text, from, to, what one thinks); the one that has the value holds."""
    return Scale(Option(text, low <= value < high, thinks) for text, low, high, thinks in options)
