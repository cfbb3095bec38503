"""Plain data (TOML, JSON) to objects and back, strictly: every error names its field and how to mend it.

All wrong fields are named at once: each field is converted and validated by itself, and rules between fields
are checked when every field is right.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override

from lbkit.core.routing import Action, Body
from lbkit.core.text import CONTROL, did_you_mean, is_secret, shown, unknown

T = TypeVar("T")


def strict_converter() -> cattrs.Converter:
    """Return a converter that refuses unknown fields, turns no 2.7 into 2, and leaves defaults out."""
    converter = cattrs.Converter(forbid_extra_keys=True, omit_if_default=True)
    plain = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
    for wanted, wording in plain.items():
        converter.register_structure_hook(wanted, _strict(wanted, wording))
    converter.register_structure_hook_func(_is_function, _no_function)
    converter.register_unstructure_hook_func(
        _is_function, lambda function: function and f"the function {getattr(function, '__name__', function)}"
    )
    converter.register_structure_hook_factory(_is_list, _list_hook)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    return converter


def structure(converter: cattrs.Converter, data: Any, wanted: type[T], error: type[Exception]) -> T:
    """Return `data` as a `wanted`. Raises `error` with a line for every wrong field, by its path."""
    try:
        return converter.structure(data, wanted)
    except Exception as caught:
        raise error("\n".join(map(_discreet, _wrong(caught, wanted)))) from None


LONGEST_LINE = 1000  # characters; a message quotes what is wrong
_VALUE = re.compile(r"""(?s)^(\S*[A-Za-z]\S*) is (["'\[({\d.-].*): (?=use )""")


def _discreet(line: str) -> str:
    """Return a message without what is too long to read, or should not be in a log: secrets."""
    said = _VALUE.match(line)
    if said and (is_secret(re.findall(r"[A-Za-z][\w-]*", said[1])[-1]) or re.search(r"://[^/]*@", said[2])):
        line = f"{said[1]} is wrong, and may be a secret, so it is not shown: {line[said.end() :]}"
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 2 :]}"
    return line


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the table of a JSON object. A name twice would mean one thing to one reader, and another to the
    next (RFC 8259, 4); TOML forbids it, too."""
    table = dict(pairs)
    if len(table) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the name {shown(twice)} occurs twice in one object: leave one out")
    return table


# Format -> its parser, and the error that the parser raises.
_PARSERS: dict[str, tuple[Callable[[str], Any], type[ValueError]]] = {
    "TOML": (tomllib.loads, tomllib.TOMLDecodeError),
    "JSON": (partial(json.loads, object_pairs_hook=_once), json.JSONDecodeError),
}


def parse(text: str, language: str, error: type[Exception], file: str = "") -> Any:
    """Return the data in a text. Raises `error` with the file, line and column of the first mistake."""
    loads, wrong = _PARSERS[language]
    try:
        return loads(text)
    except wrong as caught:
        place = ", ".join(part for part in (file, _where(caught, text)) if part)
        raise error(f"{place}: not {language}: {_what(caught)}") from None
    except RecursionError:
        raise error(f"{file or language}: lists or tables are nested too deeply") from None
    except ValueError as caught:
        why = "a number has too many digits" if "max_str_digits" in str(caught) else caught
        raise error(f"{file or language}: {why}") from None


def _where(caught: ValueError, text: str) -> str:
    """Return line and column of a parser's error; the end of the text for "(at end of document)"."""
    named = re.search(r"line (\d+),? column (\d+)", str(caught))
    lines = text.split("\n")
    line, column = named.groups() if named else (len(lines), len(lines[-1]) + 1)
    return f"line {line}, column {column}"


def _what(caught: ValueError) -> str:
    """Return a parser's error without the place."""
    return re.sub(r" \(at [^()]*\)$|: line \d+ column \d+ \(char \d+\)$", "", str(caught))


def format_of(path: str | Path, error: type[Exception]) -> str:
    """Return "TOML" or "JSON", as the name of a file says. Raises `error` for another name."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".toml", ".json"):
        raise error(f"{path}: use a name that ends in .toml or .json")
    return suffix[1:].upper()


def parse_file(path: str | Path, error: type[Exception], language: str = "") -> Any:
    """Return the data in a file, in the `language` that its name says by default.

    Raises `error` with the place of a mistake, and OSError for a file that cannot be read."""
    language = language or format_of(path, error)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as caught:
        raise error(f"{path}, byte {caught.start + 1}: not {language}: no UTF-8 text") from None
    return parse(text, language, error, str(path))


def load_file(path: str | Path, read: Callable[[Any], T], error: type[Exception], language: str = "") -> T:
    """Return what `read` makes of the data in a file; each line of its error gets the file's name.

    Raises as `parse_file` does."""
    data = parse_file(path, error, language)
    try:
        return read(data)
    except error as caught:
        raise error("\n".join(f"{path}: {line}" for line in str(caught).splitlines())) from None


def _optional(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that leaves None as it is."""
    return lambda value, *wanted: None if value is None else hook(value, *wanted)


def add_union(converter: cattrs.Converter, union: Any) -> None:
    """Teach `converter` a union of classes, distinguished by their `kind`."""
    kinds = {cls.kind: cls for cls in get_args(union)}

    def structure(value: Any, _: Any) -> Any:
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str) or kind not in kinds:
            near = did_you_mean(str(kind), kinds)
            raise ValueError(f"is {value!r}: needs a kind, one of {', '.join(kinds)}{near}")
        rest = {name: v for name, v in value.items() if name != "kind"}
        return converter.structure(rest, kinds[kind])

    def unstructure(value: Any) -> Any:
        return {"kind": value.kind, **converter.unstructure(value, type(value))}

    for wanted, way in ((union, lambda hook: hook), (union | None, _optional)):
        converter.register_structure_hook(wanted, way(structure))
        converter.register_unstructure_hook(wanted, way(unstructure))


def add_routing(converter: cattrs.Converter) -> None:
    """Teach `converter` the rules of content switching."""
    add_union(converter, Action)
    converter.register_structure_hook_func(lambda wanted: wanted is Body, _body)


def _body(value: Any, _: Any) -> Body:
    if not isinstance(value, str) or CONTROL.search(re.sub(r"[\r\n\t]", "", value)):
        raise ValueError(f"is {shown(value)}: use a text, which may have several lines")
    return Body(value)


def _strict(wanted: type, wording: str) -> Any:
    """Return a hook that refuses other types, where cattrs would turn 2.7 workers into 2."""

    def structure(value: Any, _: Any) -> Any:
        fits = isinstance(value, (int, float) if wanted is float else wanted)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            raise ValueError(f"is {shown(value)}: use {wording}")
        if wanted is str and CONTROL.search(value):
            raise ValueError(f"is {shown(value)}: use a text without control characters")
        try:
            return wanted(value)
        except OverflowError:
            raise ValueError(f"is {shown(value)}: use a smaller number") from None

    return structure


def _is_function(wanted: Any) -> bool:
    """Return whether a type is that of a function, or of one that may be absent."""
    return any(get_origin(kind) is Callable for kind in (wanted, *get_args(wanted)))


def _no_function(value: Any, _: Any) -> Any:
    raise ValueError(f"is {shown(value)}: a file cannot have a function; give it in Python")


def _is_list(wanted: Any) -> bool:
    arguments, origin = get_args(wanted), get_origin(wanted)
    return origin in (list, Sequence) or (origin is tuple and arguments[1:] == (...,))


def _list_hook(wanted: Any, converter: cattrs.Converter) -> Any:
    """Return a hook for a list or tuple[X, ...]: cattrs would take the letters of a text, and the names of a
    table."""
    items = converter.get_structure_hook(MutableSequence[get_args(wanted)[0]])  # type: ignore[misc]
    made = tuple if get_origin(wanted) is tuple else list

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"is {shown(value)}: use a list")
        return made(items(value, list))

    return structure


def _class_hook(cls: Any, converter: cattrs.Converter) -> Any:
    """Return a hook for an attrs class that checks every field; `__init__` stops at the first wrong one."""

    def field_hook(attribute: attrs.Attribute[Any]) -> Any:
        def structure(value: Any, wanted: Any) -> Any:
            result = converter.structure(value, wanted)
            if attribute.converter:
                result = attribute.converter(result)  # type: ignore[operator]
            if attribute.validator:
                attribute.validator(None, attribute, result)
            return result

        return structure

    attrs.resolve_types(cls)
    hooks: Any = {a.name: override(struct_hook=field_hook(a)) for a in attrs.fields(cls)}
    return make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **hooks)


def _field_names(wanted: Any) -> list[str]:
    """Return the names of a class's fields; none for what has no fields."""
    if attrs.has(wanted):
        return [f.name for f in attrs.fields(wanted)]
    return [f.name for f in dataclasses.fields(wanted)] if dataclasses.is_dataclass(wanted) else []


def _wrong(error: BaseException, wanted: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each fault: a path, " is ", the value, and what would be right."""
    fields = _field_names(wanted)
    if isinstance(error, cattrs.ClassValidationError | cattrs.IterableValidationError):
        noted, others = error.group_exceptions()
        for inner, note in noted:
            at = f"[{note.index}]" if isinstance(note, IterableValidationNote) else f".{note.name}"
            yield from _wrong(inner, note.type, (path + at).lstrip("."))
        for inner in others:
            yield from _wrong(inner, error.cl, path)
    elif isinstance(error, cattrs.ForbiddenExtraKeysError):
        for name in sorted(map(str, error.extra_fields)):
            yield f"{path}: {unknown(CONTROL.sub('?', name), fields)}".removeprefix(": ")
    elif isinstance(error, KeyError):
        yield f"{path} is missing"
    elif isinstance(error, ValueError):
        for text in str(error).splitlines():
            # Checks of a single value say "is ..." or "<field> is ...", those of a whole class the latter.
            own = re.match(r"(\w+)(?= |: )", text)
            if own and not fields and re.split(r"\W", path)[-1] == own[0] and own[0] != "is":
                text = text[own.end() :].removeprefix(":").lstrip()
            joint = " " if text.startswith(_VERBS) else "." if re.split(r"\W", text)[0] in fields else ": "
            yield f"{path}{joint}{text}".removeprefix(joint)
    elif not isinstance(error, TypeError | AttributeError):
        yield f"{path}: {error}"
    elif fields:
        yield f"{path or wanted.__name__.lower()} must be a table of {', '.join(fields)}"
    else:
        yield f"{path} must be a {'table' if get_origin(wanted) is Mapping else 'list'}"


_VERBS = ("is ", "are ", "must ", "has ")
