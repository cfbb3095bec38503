"""Validators of fields: each raises ValueError that names the field, its value and the mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from sys import float_info
from typing import Any, TypeVar, get_args

import attrs

from lbkit.core.text import CONTROL

T = TypeVar("T")


class ExperimentError(ValueError):
    """An experiment is not valid; names the wrong field and what would be right."""


def several(what: T | Iterable[T]) -> tuple[T, ...]:
    """Return a list as a tuple, and a single value as a tuple of one: a text, too, and not its letters."""
    if isinstance(what, str) or not isinstance(what, Iterable):
        return (what,)
    return tuple(what)


FINITE = float_info.max  # what does not fit into a float, such as the whole number 10**400, is no number here


def number(low: float = -FINITE, high: float = FINITE, *, above: bool = False) -> Callable[..., None]:
    """An attrs validator: a finite number in [low, high], or (low, high] when `above`."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high or (above and value == low):
            bound = f"above {low:g}" if above else f"at least {low:g}" if low > -FINITE else "finite"
            upto = f" and at most {high:g}" if high < FINITE else ""
            raise ValueError(f"{attribute.name} is {value!r}: use a number {bound}{upto}")

    return check


def whole(low: int, high: float = inf) -> Callable[..., None]:
    """An attrs validator: a whole number in [low, high]."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            upto = f" and at most {high:g}" if high < inf else ""
            raise ValueError(f"{attribute.name} is {value!r}: use a whole number of at least {low}{upto}")

    return check


def text(*, empty: bool = True) -> Callable[..., None]:
    """An attrs validator: a text that keeps to one line of a log, and is not empty unless it may be."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{attribute.name} is {value!r}: use a text")
        if CONTROL.search(value):
            raise ValueError(f"{attribute.name} is {value!r}: use a text without control characters")
        if not (value or empty):
            raise ValueError(f"{attribute.name} is {value!r}: use a text that is not empty")

    return check


def flag(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """An attrs validator: True or False, and not "no", which would count as yes."""
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} is {value!r}: use true or false")


def one_of(wanted: Any) -> Callable[..., None]:
    """An attrs validator: an instance of the class, or of a class in the union, `wanted`."""
    classes = get_args(wanted) or (wanted,)
    names = " or ".join(cls.__name__ for cls in classes)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, classes):
            raise ValueError(f"{attribute.name} is {value!r}: use {names}")

    return check


def word(options: Iterable[str]) -> Callable[..., None]:
    """An attrs validator: one of these words."""
    words = tuple(options)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name} is {value!r}: use {', '.join(words)}")

    return check
