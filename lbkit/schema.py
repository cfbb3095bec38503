"""From plain data (TOML, JSON) to objects and back, strictly: every error names its field and the mend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import IterableValidationNote

T = TypeVar("T")


def strict_converter() -> cattrs.Converter:
    """Takes no field that there is not, turns no 2.7 into 2, and leaves defaults out."""
    converter = cattrs.Converter(forbid_extra_keys=True, omit_if_default=True)
    plain = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
    for wanted, wording in plain.items():
        converter.register_structure_hook(wanted, _strict(wanted, wording))
    return converter


def structure(converter: cattrs.Converter, data: Any, wanted: type[T], error: type[Exception]) -> T:
    """`data` as a `wanted`. Raises `error` with a line for every wrong field, by its path."""
    try:
        return converter.structure(data, wanted)
    except Exception as caught:
        raise error("\n".join(_wrong(caught, wanted))) from None


def add_union(converter: cattrs.Converter, union: Any) -> None:
    """Teach `converter` a union of classes, distinguished by their `kind`."""
    kinds = {cls.kind: cls for cls in get_args(union)}

    def structure(value: Any, _: Any) -> Any:
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"is {value!r}: needs a kind, one of {', '.join(kinds)}")
        rest = {name: v for name, v in value.items() if name != "kind"}
        return converter.structure(rest, kinds[kind])

    def unstructure(value: Any) -> Any:
        return {"kind": value.kind, **converter.unstructure(value, type(value))}

    converter.register_structure_hook(union, structure)
    converter.register_unstructure_hook(union, unstructure)


def _strict(wanted: type, wording: str) -> Any:
    """cattrs would turn 2.7 workers into 2; we would rather say so."""

    def structure(value: Any, _: Any) -> Any:
        fits = isinstance(value, (int, float) if wanted is float else wanted)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            raise ValueError(f"is {value!r}: use {wording}")
        return wanted(value)

    return structure


def _wrong(error: BaseException, wanted: Any, path: str = "") -> Iterator[str]:
    """What is wrong, a line each: a path, " is ", the value, and what would be right."""
    fields = [f.name for f in attrs.fields(wanted)] if attrs.has(wanted) else []
    if isinstance(error, cattrs.ClassValidationError | cattrs.IterableValidationError):
        noted, others = error.group_exceptions()
        for inner, note in noted:
            at = f"[{note.index}]" if isinstance(note, IterableValidationNote) else f".{note.name}"
            yield from _wrong(inner, note.type, (path + at).lstrip("."))
        for inner in others:
            yield from _wrong(inner, error.cl, path)
    elif isinstance(error, cattrs.ForbiddenExtraKeysError):
        unknown = ", ".join(sorted(error.extra_fields))
        yield f"{path}: unknown {unknown}; known are {', '.join(fields)}".removeprefix(": ")
    elif isinstance(error, KeyError):
        yield f"{path} is missing"
    elif isinstance(error, ValueError):
        # Checks of a single value say "is ...", those of a whole class "<field> is ...".
        text = str(error)
        joint = " " if text.startswith("is ") else "." if re.split(r"\W", text)[0] in fields else ": "
        yield f"{path}{joint}{text}".removeprefix(joint)
    elif not isinstance(error, TypeError | AttributeError):
        yield f"{path}: {error}"
    elif attrs.has(wanted):
        yield f"{path or wanted.__name__.lower()} must be a table of {', '.join(fields)}"
    else:
        yield f"{path} must be a {'table' if get_origin(wanted) is Mapping else 'list'}"
