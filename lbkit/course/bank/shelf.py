"""Which questions there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from pkgutil import iter_modules

from lbkit.core.text import unknown
from lbkit.course.bank import questions
from lbkit.course.bank.question import Question, Variant


def all_questions() -> list[Question]:
    """Return the questions, in the order of the notebooks."""
    modules = (
        import_module(f"{questions.__name__}.{found.name}") for found in iter_modules(questions.__path__)
    )
    found = [question for module in modules for question in module.ask.questions]
    return sorted(found, key=lambda question: question.notebook)  # stable: within a notebook as written


def find_questions(wanted: Iterable[str]) -> list[Question]:
    """Return the questions of these notebooks ("03", "07b-retries-and-breakers") or names; of none, all.

    Raises ValueError for what there is not."""
    bank, words = all_questions(), list(wanted)
    if not words:
        return bank
    names = {question.name for question in bank}
    names |= {part for q in bank for part in (q.notebook, q.notebook.partition("-")[0])}
    for word in words:
        if word not in names:
            raise ValueError(unknown(word, sorted(names), "question or notebook"))
    return [q for q in bank if {q.name, q.notebook, q.notebook.partition("-")[0]} & set(words)]


def variants(wanted: Sequence[Question], seed: int | str = 1) -> list[Variant]:
    """Return these questions with the numbers of a seed; a student's name makes a seed, too."""
    return [question.variant(seed) for question in wanted]
