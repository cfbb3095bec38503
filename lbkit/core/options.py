"""Keyword arguments and options: checked by constructors, and against a signature before it is called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, wraps
from inspect import Parameter, signature
from math import inf, isnan
from operator import index
from sys import float_info
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lbkit.core.text import shown, unknown
from lbkit.extensions import readable_init

T = TypeVar("T")
K = TypeVar("K")
C = TypeVar("C", bound=Callable[..., Any])
FINITE = float_info.max  # what does not fit into a float, such as the whole number 10**400, is no number here

# Options that a constructor checks with `number` and `whole`. mypyc takes them for Any: compiled, a `float`
# would refuse a text in words of its own, and take True for 1.0, before the check.
if TYPE_CHECKING:
    Number = Any
    Whole = Any
else:
    Number = float
    Whole = int

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


def named_options(function: C) -> C:
    """Decorator of a function: an unknown keyword raises a TypeError with the options and the likely one."""
    known = [p.name for p in signature(function).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        check_names(function, options, known)
        return function(*args, **options)

    return cast(C, call)


def check_names(function: Callable[..., Any], options: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError, which names the likely one, for the first option that is not known."""
    known = list(known)
    for name in options:
        if name not in known:
            raise TypeError(f"{function.__name__}: {unknown(name, known, 'option')}")


def real(value: object) -> bool:
    """Return whether a value is a number: True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(
    low: float = -FINITE,
    high: float = FINITE,
    /,
    *,
    above: bool = False,
    infinite: bool = False,
    **values: Any,
) -> None:
    """Raise ValueError, which names it, for the first value that is not a finite number in [low, high].

    `above`: in (low, high]. `infinite`: inf is allowed as well."""
    for name, value in values.items():
        if real(value) and low <= value <= (inf if infinite else high) and not (above and value == low):
            continue
        bound = f"above {low:g}" if above else f"at least {low:g}" if low > -FINITE else "finite"
        upto = f" and at most {high:g}" if high < FINITE else ""
        raise ValueError(
            f"{name} is {shown(value)}: use a number {bound}{upto}{', or inf' if infinite else ''}"
        )


def whole(low: int, high: float | int = inf, /, **values: Any) -> None:
    """Raise ValueError, which names it, for the first value that is not a whole number in [low, high]."""
    for name, value in values.items():
        try:
            fits = not isinstance(value, bool) and low <= index(value) <= high
        except TypeError:  # no whole number: a float, a text
            fits = False
        if not fits:
            upto = f" and at most {high:.0f}" if high < inf else ""
            raise ValueError(f"{name} is {shown(value)}: use a whole number of at least {low}{upto}")


def flags(**values: Any) -> None:
    """Raise ValueError, which names it, for the first value that is neither True nor False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {shown(value)}: use true or false")


def texts(name: str, value: Collection[str]) -> Collection[str]:
    """Return a list of texts. Raises ValueError, which names it, for anything else: also for a text."""
    if isinstance(value, str) or not isinstance(value, Collection):
        raise ValueError(f"{name} is {shown(value)}: use a list of texts")
    for one in value:
        if not isinstance(one, str):
            raise ValueError(f"{name} has {shown(one)}: use texts")
    return value


def table(name: str, value: Mapping[K, T]) -> Mapping[K, T]:
    """Return a table by name. Raises ValueError, which names it, for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {shown(value)}: use a table by name")
    return value


def instance(kind: type, name: str, value: object) -> None:
    """Raise ValueError, which names it, for what is no `kind`."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {shown(value)}: use {kind.__name__}")


def instances(kind: type | UnionType, name: str, values: Iterable[object]) -> None:
    """Raise ValueError, which names it, for what is no list of `kind`s."""
    wanted = " or ".join(one.__name__ for one in get_args(kind) or (kind,))
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {shown(values)}: use a list with a {wanted} each")
    for one in values:
        if not isinstance(one, kind):
            raise ValueError(f"{name} has {shown(one)}: use a {wanted} each")


@cache
def _known(cls: type) -> dict[str, Any] | None:
    """Return the options of a class and their types; None if it takes any."""
    if getattr(cls, "__init__") is object.__init__:  # noqa: B009 - mypy thinks of subclasses
        return {}
    init = readable_init(cls)
    parameters = list(signature(init).parameters.values())[1:]
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return None
    try:
        types = get_type_hints(init)
    except NameError:  # a learner's class, with annotations that are not defined
        types = {}
    return {p.name: types.get(p.name, Any) for p in parameters if p.kind is not Parameter.VAR_POSITIONAL}


@cache
def _required(cls: type) -> tuple[str, ...]:
    """Return the options of a class that have no default."""
    if getattr(cls, "__init__") is object.__init__:  # noqa: B009
        return ()
    several = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD
    parameters = list(signature(readable_init(cls)).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.default is Parameter.empty and p.kind not in several)


def option_faults(cls: type, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each option of an unknown name or a wrong type, and for each that is missing.

    Bounds are up to the constructor."""
    known = _known(cls)
    for name, value in options.items():
        if known is not None and name not in known:
            yield unknown(name, known, "option")
            continue
        wanted = known[name] if known else Any
        kinds = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
        plain = [t for t in kinds if t in _SAID]
        others = [t for t in kinds if t not in _SAID and t is not type(None)]
        if others or not plain or (value is None and type(None) in kinds):
            continue
        if not any(_fits(value, t) for t in plain):
            yield f"{name} is {shown(value)}: use {' or '.join(_SAID[t] for t in plain)}"
    if known is None or options.keys() <= known.keys():  # else it may be there under another name
        yield from (f"{name} is missing" for name in _required(cls) if name not in options)


def _fits(value: Any, wanted: type) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return (
            abs(value) <= FINITE if isinstance(value, int) else isinstance(value, float) and not isnan(value)
        )
    return isinstance(value, wanted)
