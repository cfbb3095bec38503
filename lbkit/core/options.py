"""Keyword arguments and options, checked against a signature before it is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, wraps
from inspect import Parameter, signature
from math import isnan
from typing import Any, TypeVar, get_args, get_type_hints

from lbkit.core.text import unknown

T = TypeVar("T")

HIGHEST = 1_000_000  # of whole numbers: points on a ring, slots of a table
_SAID = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}


def named_fields(cls: type[T]) -> type[T]:
    """Class decorator: an unknown keyword raises a TypeError with the fields and the likely one."""
    its: Any = cls
    made = its.__init__
    known = list(signature(made).parameters)[1:]

    @wraps(made)
    def init(self: T, *args: Any, **fields: Any) -> None:
        for name in fields:
            if name not in known:
                raise TypeError(f"{cls.__name__}: {unknown(name, known, 'field')}")
        made(self, *args, **fields)

    its.__init__ = init
    return cls


@cache
def _known(cls: type) -> dict[str, Any] | None:
    """The options of a class and their types; None if it takes any."""
    if getattr(cls, "__init__") is object.__init__:  # noqa: B009 - mypy thinks of subclasses
        return {}
    parameters = list(signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return None
    try:
        types = get_type_hints(cls.__init__)  # type: ignore[misc]
    except NameError:  # a learner's, with names that are not there
        types = {}
    return {p.name: types.get(p.name, Any) for p in parameters if p.kind is not Parameter.VAR_POSITIONAL}


def option_faults(cls: type, options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with these options, a line each; whether a number is too low only the class can say."""
    known = _known(cls)
    for name, value in options.items():
        if known is not None and name not in known:
            yield unknown(name, known, "option")
            continue
        wanted = known[name] if known else Any
        plain = [t for t in (get_args(wanted) or (wanted,)) if t in _SAID]
        others = [t for t in (get_args(wanted) or (wanted,)) if t not in _SAID and t is not type(None)]
        if others or not plain or (value is None and type(None) in get_args(wanted)):
            continue
        if not any(_fits(value, t) for t in plain):
            yield f"{name} is {value!r}: use {' or '.join(_SAID[t] for t in plain)}"
        elif isinstance(value, int) and not isinstance(value, bool) and plain == [int] and value > HIGHEST:
            yield f"{name} is {value!r}: use at most {HIGHEST}"


def _fits(value: Any, wanted: type) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return isinstance(value, int | float) and not isnan(value)
    return isinstance(value, wanted)
