"""What a lab asks for: a task with checks, each a property of the learner's code with points."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

from lbkit.course.pictures import Picture

Property = Callable[..., None]  # takes what the task `defines`; raises Wrong


class Wrong(Exception):
    """The learner's code does not have a property: what was expected, and what happened instead.

    `hint` says where to look, without the solution; `picture` shows it where that says more."""

    def __init__(self, expected: str, happened: str, hint: str = "", picture: Picture | None = None) -> None:
        super().__init__(f"expected {expected}; happened: {happened}")
        self.expected = expected
        self.happened = happened
        self.hint = hint
        self.picture = picture


class NotDefined(Exception):
    """The learner's code lacks a name that the task asks for."""


def expect(holds: bool, expected: str, happened: str, hint: str = "", picture: Picture | None = None) -> None:
    """Raise Wrong unless `holds`."""
    if not holds:
        raise Wrong(expected, happened, hint, picture)


@dataclass(frozen=True)
class Check:
    """One property. `hidden` ones are for instructors: neither their names nor their messages are shown."""

    name: str
    says: str  # the property, in a sentence
    points: int
    seconds: float  # after which the code is stopped
    hidden: bool
    run: Property
    needs: str = ""  # the check without which this one is not run


@dataclass
class Task:
    """The task of a lab. Its module `source/checks.py` makes one, named `task`, and adds checks to it."""

    title: str
    module: str  # name of the file that the learner writes, without .py
    defines: tuple[str, ...]  # names that it must define; checks are called with their values
    minutes: int
    difficulty: int  # from 1 to 3
    before: str  # what should be known: a chapter, another lab
    beside: tuple[str, ...] = ()  # names in a cell of their own, which a solution may use or do without
    checks: dict[str, Check] = field(default_factory=dict)

    def check(
        self, points: int, seconds: float = 3.0, hidden: bool = False, needs: Property | None = None
    ) -> Callable[[Property], Property]:
        """Add a function as a check: its name, with dashes, names it, and its docstring is the property.

        It is not run if an earlier check that it `needs` has failed: checks that wait would take long."""

        def add(run: Property) -> Property:
            name, needed = (each.__name__.replace("_", "-") if each else "" for each in (run, needs))
            says = " ".join((run.__doc__ or "").split())
            if not says or name in self.checks:
                raise ValueError(f"check {name!r}: it needs a docstring, and a name of its own")
            self.checks[name] = Check(name, says, points, seconds, hidden, run, needed)
            return run

        return add

    def visible(self) -> list[Check]:
        return [check for check in self.checks.values() if not check.hidden]


def needed(task: Task, namespace: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a task's checks are called with. Raises NotDefined."""
    for name in task.defines:
        if name not in namespace:
            raise NotDefined(
                f"there is no `{name}`{near(name, namespace)}: keep the name that the lab gave it"
            )
        found, is_class = namespace[name], name[0].isupper()
        if not (isclass(found) if is_class else callable(found)):
            kind = "a function" if isfunction(found) else f"of the kind {type(found).__name__}"
            raise NotDefined(f"`{name}` is {kind}: make it a {'class' if is_class else 'function'}")
    return tuple(namespace[name] for name in task.defines)


def near(name: str, namespace: dict[str, Any]) -> str:
    """Return ", but a `Turn`" where the learner has something of nearly the missing name, else ""."""
    known = {other.lower(): other for other, value in namespace.items() if callable(value)}
    found = get_close_matches(name.lower(), known, n=1)
    return f", but a `{known[found[0]]}`" if found else ""


def load_task(path: Path) -> Task:
    """Return the `task` of a lab's checks, which may import modules beside them.

    Raises ImportError, OSError."""
    name = f"lbkit_lab_{path.parent.parent.name}"
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    for old in [each for each in sys.modules if each.startswith(f"{name}.")]:
        del sys.modules[old]  # it added its checks to an earlier task
    sys.modules[name] = module  # where the modules beside it find it, and dataclasses themselves
    spec.loader.exec_module(module)
    task: Task = module.task
    return task
