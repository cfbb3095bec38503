"""The steps of a scene, as data: a sentence each, and the values and controls that come with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from lbkit.core.text import shown, unknown
from lbkit.viz.controls import control


class Asked(Protocol):
    """A prediction, as `lbkit.course.predict` returns it."""

    guess: Any

    def observe(self, handler: Callable[[Any], object], names: str) -> None:
        """Call `handler` when the guess is there."""

    def reveal(self, happened: Any) -> Any:
        """Show what happened beside the guess."""


class Step:
    """An idea of a scene: a sentence, and the controls or values that come with it.

    `Step("Move the load.", load=(0.1, 0.95, 0.5))` brings a control: the lowest, highest and first value of a
    slider, a list of words to choose from, or True or False for a box to tick. Anything else, as in
    `Step("Now they take turns.", policy="round_robin")`, is a value from this step on, without a control.
    `ask` is a prediction: the step shows nothing until it is answered, and `outcome`, a function of the
    results, is what happened.
    """

    def __init__(
        self,
        text: str,
        /,
        ask: Asked | None = None,
        outcome: Callable[..., Any] | None = None,
        **arguments: Any,
    ) -> None:
        """Raises ValueError for a control with wrong values, and for one of `ask` and `outcome` alone."""
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text is {shown(text)}: give each step a sentence")
        if (ask is None) != (outcome is None):
            raise ValueError(
                "ask and outcome go together: a prediction, and a function that tells what happened"
            )
        if ask is not None and not hasattr(ask, "reveal"):
            raise ValueError(f"ask is {shown(ask)}: use predict(...)")
        self.text = text
        self.ask = ask
        self.outcome = outcome
        self.controls = {
            name: what for name, what in arguments.items() if isinstance(what, tuple | list | bool)
        }
        self.values = {name: what for name, what in arguments.items() if name not in self.controls}
        self.first = self.values | {name: control(name, what).value for name, what in self.controls.items()}


class Steps:
    """The steps of a scene in order, and which arguments of `build` they set. Steps count from 1."""

    def __init__(self, build: Callable[..., Any], steps: Sequence[Step]) -> None:
        """Raises ValueError for no steps, and for arguments that `build` lacks or would never get."""
        if not steps or not all(isinstance(step, Step) for step in steps):
            raise ValueError(
                'a scene needs steps: Scene(build, Step("a sentence", load=(0.1, 0.9, 0.5)), ...)'
            )
        self._build = build
        self.steps = tuple(steps)
        for number, step in enumerate(steps, 1):
            for name in step.first:
                if not self._takes(name):
                    raise ValueError(f"step {number}: {unknown(name, self._parameters, 'argument of build')}")
        self._check_defaults()

    def _check_defaults(self) -> None:
        """`build` has to have all its arguments from the first step on."""
        for name, parameter in self._parameters.items():
            if parameter.default is parameter.empty and name not in self.steps[0].first:
                raise ValueError(f"step 1 sets no {name}: set it there, or give build a default for it")

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        found = inspect.signature(self._build).parameters
        return {name: p for name, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}

    def _takes(self, name: str) -> bool:
        kinds = {p.kind for p in inspect.signature(self._build).parameters.values()}
        return name in self._parameters or inspect.Parameter.VAR_KEYWORD in kinds

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, number: int) -> Step:
        """Return step `number`. Raises IndexError."""
        if not 1 <= number <= len(self.steps):
            raise IndexError(f"step is {number}: the scene has steps 1 to {len(self.steps)}")
        return self.steps[number - 1]

    def controls_at(self, number: int) -> dict[str, int]:
        """Return the arguments that have a control in a step, and the step that brought it."""
        since: dict[str, int] = {}
        for earlier, step in enumerate(self.steps[:number], 1):
            since = {name: at for name, at in since.items() if name not in step.values}
            since |= dict.fromkeys(step.controls, earlier)
        return since

    def shows(self, number: int, moved: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """Return what `build` makes of a step: one show or two.

        `moved`: the values of the controls; without, the first ones. Before a step sets it, an argument has
        the default of `build`."""
        self[number]
        values: dict[str, Any] = {}
        for step in self.steps[:number]:
            values |= step.first
        made = self._build(**values | dict(moved or {}))
        return tuple(made) if isinstance(made, tuple | list) else (made,)
