"""The widget of a prediction: a question with answers or a slider, and later what happened."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from typing import Any

import ipywidgets as widgets
import traitlets

from lbkit.course import progress
from lbkit.course.question import Choice, Guess, Number, Question, told
from lbkit.viz.widget import Words

NOT_YET = "You have not predicted this yet: the question is above."
STYLE = "border-left: 3px solid #8888; padding: 2px 10px; line-height: 1.5"


class Prediction(Words):
    """A question; `guess` is the first answer that was given, `happened` what was revealed: None before."""

    guess: Any = traitlets.Any()  # a trait: scenes wait for it

    def __init__(self, name: str, question: str, asked: Question) -> None:
        self.name = name
        self.question = asked
        self.happened: Guess | None = None
        self.said, self.happening = widgets.HTML(), widgets.HTML()
        self.beside = Words([self.happening])
        super().__init__(
            [widgets.HTML(boxed(f"<b>Predict.</b> {escape(question)}")), *self._ways(), self.said]
        )
        self.add_class("lbkit-prediction")
        with suppress(OSError, ValueError):  # a first guess will say that it cannot be noted
            if earlier := progress.read_progress()["predictions"].get(name):
                self.guess = earlier["guess"]
        self._show()

    def _ways(self) -> list[Any]:
        """Return the widgets with which one answers."""
        if isinstance(self.question, Choice):
            self.answers = [
                widgets.Button(description=answer, layout={"width": "auto"})
                for answer in self.question.answers
            ]
            for button in self.answers:
                button.on_click(lambda clicked: self._predict(clicked.description))
            return [widgets.Box(self.answers, layout={"flex_flow": "row wrap"})]
        assert isinstance(self.question, Number)
        low, high = self.question.low, self.question.high
        whole = isinstance(low, int) and isinstance(high, int)
        kind = widgets.IntSlider if whole else widgets.FloatSlider
        middle = (low + high) // 2 if whole else (low + high) / 2
        step = max(1, (high - low) // 100) if whole else (high - low) / 100
        more = {"style": {"description_width": "initial"}, "layout": {"width": "420px", "max_width": "95%"}}
        self.slider = kind(middle, min=low, max=high, step=step, description=self.question.unit, **more)
        keep = widgets.Button(description="That is my prediction", layout={"width": "auto"})
        keep.on_click(lambda _: self._predict(self.slider.value))
        self.answers = [self.slider, keep]
        return [widgets.Box(self.answers, layout={"flex_flow": "row wrap"})]

    def reveal(self, happened: Guess) -> Any:
        """Show what happened: a number, or an answer by its text or number. Returns it, beside the guess.

        Raises ValueError for an answer that there is not."""
        self.happened = self.question.text(happened) if isinstance(self.question, Choice) else happened
        self._show()
        return self.beside

    def _predict(self, guess: Guess) -> None:
        if self.guess is None:  # the first one counts
            self.guess = guess
            why = progress.could_not_note(lambda: progress.note_prediction(self.name, guess))
            self._show()
            self.said.value += escape(why)

    def _show(self) -> None:
        for way in self.answers:
            way.disabled = self.guess is not None
        if self.guess is None:
            self.happening.value = boxed(NOT_YET)
        elif self.happened is None:
            self.said.value = boxed(
                f"You predicted {escape(self.question.says(self.guess))}. Run on, and see."
            )
        else:
            self.said.value = self.happening.value = boxed(told(self.question, self.guess, self.happened))
            right = self.question.fits(self.guess, self.happened)
            progress.could_not_note(lambda: progress.note_outcome(self.name, right))


def boxed(html: str) -> str:
    return f'<div style="{STYLE}">{html}</div>'
