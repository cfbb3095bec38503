"""What the stage says that a viewer did, before it is done: whether it says all that is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from lbkit.core.text import unknown


def deed(what: object, known: Mapping[str, Callable[..., Any]], first: int, how: Mapping[str, Any]) -> str:
    """Return the name of what was done. Raises ValueError if it is not in `known`, or if `how` does not have
    what it needs: all its arguments after the `first` ones."""
    if not isinstance(what, str) or what not in known:
        raise ValueError(unknown(str(what), known, "intervention"))
    parameters = list(signature(known[what]).parameters.values())[first:]
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    missing = [p.name for p in parameters if p.default is p.empty and p.name in names and p.name not in how]
    if missing:
        raise ValueError(f"{what} needs {' and '.join(missing)}")
    extra = [name for name in how if name not in names]
    if extra and len(names) == len(parameters):
        raise ValueError(f"{what}: {unknown(extra[0], names, 'field')}")
    return what
