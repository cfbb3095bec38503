"""A prediction before an experiment: the first guess is kept, and then stands beside what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lbkit.course.question import Choice, Number, Question


def predict(
    name: str,
    question: str,
    answers: Sequence[str] = (),
    *,
    between: tuple[float, float] | None = None,
    unit: str = "",
    right: int | None = None,
) -> Any:
    """Return a widget that asks what will happen. Its `reveal(value)` shows what did, beside the guess.

    `name`: of the question, unique in the course, such as "turns-burst". `answers` to choose from, or a range
    of numbers `between` two, with their `unit`. `right`: the number of the right answer, if it is known
    beforehand: then there is nothing to reveal. The first guess is noted in the learner's progress, and shown
    again when the cell runs again. Raises ValueError for a question without answers, or a number that no
    answer has."""
    from lbkit.course.prediction_widget import Prediction  # here, as checks of labs need no widgets

    if (between is None) == (not answers):
        raise ValueError("give either answers, or a range as between=(low, high)")
    asked: Question = Choice(tuple(answers)) if between is None else Number(*between, unit)
    made = Prediction(name, question, asked)
    if right is not None:
        made.reveal(right)
    return made
