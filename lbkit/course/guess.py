"""A prediction before an experiment: the first guess is kept, whatever one knows afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from lbkit.course import progress


def ask(name: str, question: str, answers: Sequence[str], right: int) -> Any:
    """Return a widget that asks a question and, once it is answered, says whether the guess was right.

    `name`: of the question, unique in the course, such as "turns-burst". `right`: the number of the right
    answer. The first guess is noted in the learner's progress, and shown again when the cell runs again.
    Raises ValueError for a number that no answer has."""
    import ipywidgets as widgets

    if not 0 <= right < len(answers):
        raise ValueError(f"right is {right}: use a number from 0 to {len(answers) - 1}")
    buttons = [widgets.Button(description=answer, layout={"width": "auto"}) for answer in answers]
    verdict = widgets.HTML()

    def show(guess: str) -> None:
        for button in buttons:
            button.disabled = True
        told = "Right" if guess == answers[right] else f"Not quite: it is “{escape(answers[right])}”"
        verdict.value = f"Your guess: “{escape(guess)}”. {told}. Now see why."

    def clicked(button: Any) -> None:
        progress.note_prediction(name, button.description, button.description == answers[right])
        show(button.description)

    for button in buttons:
        button.on_click(clicked)
    if earlier := progress.read_progress()["predictions"].get(name):
        show(earlier["guess"])
    return widgets.VBox([widgets.HTML(escape(question)), widgets.HBox(buttons), verdict])
