"""JSON and YAML as nodes that know their lines and which of their fields were read.

A reader of a format asks nodes for the fields that it understands. What nobody has asked for is what was not
understood, so the list of it is complete without a second table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from lbkit.core.text import shown
from lbkit.importer.found import ImportFault, Unread
from lbkit.needs import why_not

MOST_JSON, MOST_YAML = 16 << 20, 1 << 20  # bytes; YAML is read by Python
MOST_ALIASES = 20  # of a YAML document: aliases of aliases grow without bound
MOST_DEEP = 100  # levels

_YAML = re.compile(r"^(?:apiVersion|static_resources|Resources|AWSTemplateFormatVersion)\s*:", re.MULTILINE)


class Table(dict[Any, Any]):
    """A mapping with the line where it begins, and those of its keys."""

    line = 0
    lines: dict[Any, int]


def is_document(text: str) -> bool:
    """Return whether a text is JSON or YAML of a kind that is imported, rather than nginx's or HAProxy's."""
    return text.lstrip()[:1] in ("{", "[") or _YAML.search(text) is not None


def read_documents(file: str, text: str) -> list[Any]:
    """Return the documents of a file: mappings are Tables. JSON texts may stand one after the other.

    Raises ImportFault, with the line where the text is wrong; also for what only a hostile file has."""
    if hint := why_not("documents"):
        raise ImportFault(hint)
    if text.lstrip()[:1] in ("{", "["):
        return _json(file, text)
    return _yaml(file, text)


def _json(file: str, text: str) -> list[Any]:
    """Python's own reader says what is wrong; that of YAML, of which JSON is a part, knows the lines."""
    _check_size(file, text, MOST_JSON)
    decoder, at, pieces = json.JSONDecoder(), 0, []
    try:
        while match := re.compile(r"\s*(?=\S)").match(text, at):
            value, end = decoder.raw_decode(text, match.end())
            pieces.append((value, text.count("\n", 0, match.end()), text[match.end() : end]))
            at = end
    except json.JSONDecodeError as error:
        raise ImportFault(f"{file}, line {error.lineno}: no JSON: {error.msg}") from None
    except RecursionError:
        raise ImportFault(f"{file}: more than {MOST_DEEP} levels") from None
    return [_located(value, _load(file, _simple(piece), before, True)[0]) for value, before, piece in pieces]


def _simple(text: str) -> str:
    """Return a JSON text without what YAML's reader does not take, for its lines: tabs, which stand between
    values only, and some characters and escapes."""
    odd = re.compile(r"\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|.)|[^\n\r -~]", re.DOTALL)

    def simple(found: re.Match[str]) -> str:
        if found[0] == "\t":
            return " "
        if found[0].startswith("\\"):
            return found[0].removeprefix("\\") if len(found[0]) == 6 else found[0]
        return f"u{ord(found[0]):x}"

    return odd.sub(simple, text)


def _located(value: Any, like: Any) -> Any:
    """Return a value with the lines of another one, which YAML's reader has made of the same text."""
    if isinstance(value, dict) and isinstance(like, Table):
        found = Table()
        found.line, found.lines = like.line, dict(zip(value, like.lines.values(), strict=True))
        inside = zip(value.items(), like.values(), strict=True)
        found.update((key, _located(one, other)) for (key, one), other in inside)
        return found
    if isinstance(value, list):
        return [_located(one, other) for one, other in zip(value, like, strict=True)]
    return value


def _yaml(file: str, text: str) -> list[Any]:
    _check_size(file, text, MOST_YAML)
    return [document for document in _load(file, text, 0, False) if document is not None]


def _check_size(file: str, text: str, most: int) -> None:
    if len(text) > most:
        raise ImportFault(f"{file} has {len(text):,} characters: at most {most:,} are read")


def _load(file: str, text: str, before: int, is_json: bool) -> list[Any]:
    import yaml

    base: Any = yaml.SafeLoader
    if is_json and _depth(text) <= MOST_DEEP:  # the one in C knows no limit
        base = getattr(yaml, "CSafeLoader", base)

    class Loader(base):  # type: ignore[misc]
        aliases = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                self.aliases += 1
                if self.aliases > MOST_ALIASES:
                    raise ImportFault(f"{file}: more than {MOST_ALIASES} aliases: write them out")
            return super().compose_node(parent, index)

    def table(loader: Any, node: Any) -> Iterator[Table]:
        found = Table()
        found.line = before + node.start_mark.line + 1
        yield found
        found.lines = {}
        for key, _ in node.value:
            line = before + key.start_mark.line + 1
            if not isinstance(key.value, str):
                raise ImportFault(f"{file}, line {line}: a name is no text: use texts as names")
            if key.value in found.lines and key.value != "<<":
                raise ImportFault(f"{file}, line {line}: {shown(key.value)} is there twice: remove one")
            found.lines[key.value] = line
        found.update(loader.construct_mapping(node))

    def function(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        """A short form of CloudFormation, such as !Ref: written out."""
        if isinstance(node, yaml.ScalarNode):
            value: Any = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        if suffix == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}

    Loader.add_constructor("tag:yaml.org,2002:map", table)
    Loader.add_multi_constructor("!", function)
    try:
        return list(yaml.load_all(text, Loader))  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = before + error.problem_mark.line + 1 if error.problem_mark else 0
        raise ImportFault(
            f"{file}, line {line}: no {'JSON' if is_json else 'YAML'}: {error.problem}"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ImportFault):
            raise
        raise ImportFault(f"{file}: no YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ImportFault(f"{file}: more than {MOST_DEEP} levels") from None


def _depth(text: str) -> int:
    """Return the number of levels of a JSON text."""
    deepest = depth = 0
    for one in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if one[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif one[0] in "]}":
            depth -= 1
    return deepest


class Node:
    """A mapping of a document. Its methods raise ImportFault for a value of another kind than asked for."""

    def __init__(self, value: Any, file: str, place: str = "", line: int = 0) -> None:
        """`place`: where it is, as in Listeners[0]."""
        self.file, self.place = file, place
        self.line = getattr(value, "line", 0) or line
        if not isinstance(value, dict):
            raise self.fault("", value, "a mapping")
        self.value: dict[Any, Any] = value
        self._read: set[Any] = set()
        self._inside: dict[str, list[Node]] = {}

    def fault(self, key: str, value: object, wanted: str) -> ImportFault:
        """Return what to raise for a field."""
        what = ".".join(filter(None, (self.place, key))) or "the document"
        return ImportFault(f"{self.file}, line {self.line_of(key)}: {what} is {shown(value)}: use {wanted}")

    def line_of(self, key: str) -> int:
        return getattr(getattr(self, "value", None), "lines", {}).get(key) or self.line

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    def raw(self, key: str) -> Any:
        """Return a value as it is; it counts as understood, with all that is in it."""
        self._inside.pop(key, None)
        return self._seen(key)

    def all(self) -> dict[Any, Any]:
        """Return all of the mapping as it is; it counts as understood."""
        self._inside.clear()
        self._read.update(self.value)
        return self.value

    def _seen(self, key: str) -> Any:
        self._read.add(key)
        return self.value.get(key)

    def text(self, key: str, default: str = "") -> str:
        """Return a text; numbers and true or false count, as formats write them with quotes and without."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise self.fault(key, value, "a text")

    def number(self, key: str, default: float = 0.0) -> float:
        """Return a number; a duration such as 0.25s or 5m counts, in seconds."""
        text = self.text(key)
        if not text:
            return default
        found = re.fullmatch(r"(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h)?", text)
        if not found:
            raise self.fault(key, text, "a number")
        return float(found[1]) * {"ms": 1e-3, "m": 60.0, "h": 3600.0}.get(found[2] or "", 1.0)

    def whole(self, key: str, default: int = 0) -> int:
        number = self.number(key, default)
        if number != int(number):
            raise self.fault(key, number, "a whole number")
        return int(number)

    def flag(self, key: str, default: bool = False) -> bool:
        text = self.text(key).lower()
        if text not in ("", "true", "false"):
            raise self.fault(key, text, "true or false")
        return text == "true" if text else default

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; empty if there is none."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, str | int | float) for one in value):
            raise self.fault(key, value, "a list of texts")
        return [str(one) for one in value]

    def inside(self, key: str) -> Node:
        """Return a mapping in it; an empty one if there is none."""
        value = self._seen(key)
        return self._children(key, [Table() if value is None else value], "")[0]

    def each(self, key: str) -> list[Node]:
        """Return the mappings of a list in it; empty if there is none."""
        value = self._seen(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(key, value, "a list")
        return self._children(key, value, "[{}]")

    def _children(self, key: str, values: list[Any], number: str) -> list[Node]:
        """Return the nodes of these mappings; the same ones each time, as they know what was read."""
        if key not in self._inside:
            place, line = ".".join(filter(None, (self.place, key))), self.line_of(key)
            self._inside[key] = [
                Node(one, self.file, place + number.format(i), line) for i, one in enumerate(values)
            ]
        return self._inside[key]

    def unread(self, silent: Collection[str] = ()) -> Iterator[Unread]:
        """Yield the fields that nobody has asked for, but for those named in `silent`: they say nothing
        about traffic."""
        for key, value in self.value.items():
            if key not in self._read and key not in silent and value not in (None, "", [], {}):
                place = ".".join(filter(None, (self.place, str(key))))
                yield Unread(self.file, self.line_of(key), f"{place}: {brief(value)}", _kind(place))
        for children in self._inside.values():
            for child in children:
                yield from child.unread(silent)


def brief(value: Any) -> str:
    """Return a value in a few words."""
    if isinstance(value, dict):
        return "{" + ", ".join(map(str, list(value)[:3])) + (", ...}" if len(value) > 3 else "}")
    if isinstance(value, list):
        return brief(value[0]) if len(value) == 1 else f"{len(value)} items"
    text = str(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(place: str) -> str:
    """Return what lines are grouped by: the place without its numbers."""
    return re.sub(r"\[\d+\]", "", place)
