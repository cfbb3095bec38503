"""Validators of fields: each raises ValueError that names the field, its value and the mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, TypeVar, get_args

import attrs

from lbkit.core import options
from lbkit.core.options import FINITE
from lbkit.core.text import CONTROL, did_you_mean, shown

T = TypeVar("T")


class ExperimentError(ValueError):
    """An experiment is not valid; names the wrong field and what would be right."""


def several(what: T | Iterable[T]) -> tuple[T, ...]:
    """Return a list as a tuple, and a single value as a tuple of one: a text, too, and not its letters."""
    if isinstance(what, str) or not isinstance(what, Iterable):
        return (what,)
    return tuple(what)


def number(low: float = -FINITE, high: float = FINITE, *, above: bool = False) -> Callable[..., None]:
    """An attrs validator: a finite number in [low, high], or (low, high] when `above`."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        options.number(low, high, above=above, **{attribute.name: value})

    return check


def whole(low: int, high: float = inf) -> Callable[..., None]:
    """An attrs validator: a whole number in [low, high]."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        options.whole(low, high, **{attribute.name: value})

    return check


def text(*, empty: bool = True) -> Callable[..., None]:
    """An attrs validator: a text that keeps to one line of a log, and is not empty unless it may be."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{attribute.name} is {shown(value)}: use a text")
        if CONTROL.search(value):
            raise ValueError(f"{attribute.name} is {shown(value)}: use a text without control characters")
        if not (value or empty):
            raise ValueError(f"{attribute.name} is {shown(value)}: use a text that is not empty")

    return check


def flag(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """An attrs validator: True or False, and not "no", which would count as yes."""
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} is {shown(value)}: use true or false")


def one_of(wanted: Any) -> Callable[..., None]:
    """An attrs validator: an instance of the class, or of a class in the union, `wanted`."""
    classes = get_args(wanted) or (wanted,)
    names = " or ".join(cls.__name__ for cls in classes)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, classes):
            raise ValueError(f"{attribute.name} is {shown(value)}: use {names}")

    return check


def word(options: Iterable[str]) -> Callable[..., None]:
    """An attrs validator: one of these words."""
    words = tuple(options)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in words:
            near = did_you_mean(str(value), words)
            raise ValueError(f"{attribute.name} is {shown(value)}: use {', '.join(words)}{near}")

    return check
