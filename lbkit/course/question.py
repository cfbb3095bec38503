"""What can be guessed before an experiment: one of several answers, or a number."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import ClassVar, Protocol

Guess = str | float  # an answer's text, or a number


class Question(Protocol):
    """What can be guessed."""

    happened: ClassVar[str]  # begins the sentence with what happened

    def says(self, guess: Guess) -> str:
        """Return a guess, or what happened, in words."""

    def fits(self, guess: Guess, happened: Guess) -> bool:
        """Return whether a guess was right."""

    def picture(self, guess: Guess, happened: Guess) -> str:
        """Return the guess beside what happened as HTML; "" where words are enough."""


@dataclass(frozen=True)
class Choice:
    """One of several answers. What happened is the text of an answer, or its number."""

    happened: ClassVar = "It is"

    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.answers)) < 2:
            raise ValueError("answers: give at least two different ones, or a range as between=(low, high)")

    def says(self, guess: Guess) -> str:
        return f"“{self.text(guess)}”"

    def text(self, answer: Guess) -> str:
        """Return the text of an answer, given as itself or by its number. Raises ValueError."""
        if answer in self.answers:
            return str(answer)
        if isinstance(answer, int) and 0 <= answer < len(self.answers):
            return self.answers[answer]
        last = len(self.answers) - 1
        raise ValueError(f"{answer!r} is no answer: use a number from 0 to {last}, or one of {self.answers}")

    def fits(self, guess: Guess, happened: Guess) -> bool:
        return guess == self.text(happened)

    def picture(self, guess: Guess, happened: Guess) -> str:
        return ""


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`; what happened may be outside."""

    NEAR: ClassVar = 0.1  # of the range: a guess this near was right
    happened: ClassVar = "Measured:"

    low: float
    high: float
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(
                f"between is ({self.low}, {self.high}): the first number has to be the smaller one"
            )

    NEAR = 0.1  # of the range: a guess this near was right

    def says(self, guess: Guess) -> str:
        number = f"{guess:.3g}" if abs(float(guess)) < 100 else f"{guess:,.0f}"
        return f"{number} {self.unit}".rstrip()

    def fits(self, guess: Guess, happened: Guess) -> bool:
        return abs(float(guess) - float(happened)) <= self.NEAR * (self.high - self.low)

    def picture(self, guess: Guess, happened: Guess) -> str:
        """Return a scale with the guess above it and what happened below it."""
        low, high = min(self.low, float(happened)), max(self.high, float(happened))

        def mark(value: Guess, sign: str, top: int, what: str) -> str:
            share = (float(value) - low) / (high - low)
            return (
                f'<span title="{what}: {escape(self.says(value))}" style="position: absolute; '
                f'left: {share:.1%}; top: {top}px; transform: translateX(-50%)">{sign}</span>'
            )

        marks = mark(guess, "▽", -2, "predicted") + mark(happened, "▲", 18, "happened")
        ends = f"<span>{self.says(low)}</span><span>{self.says(high)}</span>"
        return (
            '<div class="lbkit-scale"><div aria-hidden="true" style="position: relative; '
            "max-width: 420px; margin: 4px 12px 0; "
            f'height: 38px; line-height: 20px">{marks}<div style="position: absolute; top: 19px; '
            'width: 100%; border-top: 2px solid #8888"></div></div><div style="max-width: 444px; '
            f'display: flex; justify-content: space-between; opacity: 0.7">{ends}</div></div>'
        )


def told(question: Question, guess: Guess, happened: Guess) -> str:
    """Return a guess and what happened, as HTML."""
    end = "You were right." if question.fits(guess, happened) else "Now see why."
    words = f"You predicted {question.says(guess)}. {question.happened} {question.says(happened)}. {end}"
    return f"<div>{escape(words)}</div>{question.picture(guess, happened)}"
