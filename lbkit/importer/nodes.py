"""Mappings of a document that record which of their fields were read.

The reader of a format asks nodes for the fields that it understands. All other fields were not understood, so
that list is complete without a second table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from lbkit.core.text import shown
from lbkit.importer.documents import Table
from lbkit.importer.found import ImportFault, Unread


class Node:
    """A mapping of a document. Methods raise ImportFault if a value is not of the requested kind."""

    def __init__(self, value: Any, file: str, place: str = "", line: int = 0) -> None:
        """`place`: its path in the document, such as Listeners[0]. Raises ImportFault if it is no mapping."""
        self.file, self.place = file, place
        self.line = getattr(value, "line", 0) or line
        if not isinstance(value, dict):
            raise self.fault("", value, "a mapping")
        self.value: dict[Any, Any] = value
        self._read: set[Any] = set()
        self._inside: dict[str, list[Node]] = {}

    def fault(self, key: str, value: object, wanted: str) -> ImportFault:
        """Return the error for a field; the caller raises it."""
        what = ".".join(filter(None, (self.place, key))) or "the document"
        return ImportFault(f"{self.file}, line {self.line_of(key)}: {what} is {shown(value)}: use {wanted}")

    def line_of(self, key: str) -> int:
        return getattr(getattr(self, "value", None), "lines", {}).get(key) or self.line

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    def raw(self, key: str) -> Any:
        """Return a value unchanged; it counts as read with everything in it."""
        self._inside.pop(key, None)
        return self._seen(key)

    def all(self) -> dict[Any, Any]:
        """Return the whole mapping unchanged; all of it counts as read."""
        self._inside.clear()
        self._read.update(self.value)
        return self.value

    def _seen(self, key: str) -> Any:
        self._read.add(key)
        return self.value.get(key)

    def text(self, key: str, default: str = "") -> str:
        """Return a text. Numbers and booleans are accepted, as files write them with and without quotes."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise self.fault(key, value, "a text")

    def number(self, key: str, default: float = 0.0) -> float:
        """Return a number; a duration such as 0.25s or 5m is returned in seconds."""
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
        """Return a list of texts; empty if the field is missing."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, str | int | float) for one in value):
            raise self.fault(key, value, "a list of texts")
        return [str(one) for one in value]

    def inside(self, key: str) -> Node:
        """Return the node of a mapping; an empty one if the field is missing."""
        value = self._seen(key)
        return self._children(key, [Table() if value is None else value], "")[0]

    def each(self, key: str) -> list[Node]:
        """Return the nodes of a list of mappings; empty if the field is missing."""
        value = self._seen(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(key, value, "a list")
        return self._children(key, value, "[{}]")

    def _children(self, key: str, values: list[Any], number: str) -> list[Node]:
        """Return the nodes of these mappings, the same objects each time, as they record what was read."""
        if key not in self._inside:
            place, line = ".".join(filter(None, (self.place, key))), self.line_of(key)
            self._inside[key] = [
                Node(one, self.file, place + number.format(i), line) for i, one in enumerate(values)
            ]
        return self._inside[key]

    def unread(self, silent: Collection[str] = ()) -> Iterator[Unread]:
        """Yield the fields that were not read, except those in `silent`, which do not affect traffic."""
        for key, value in self.value.items():
            if key not in self._read and key not in silent and value not in (None, "", [], {}):
                place = ".".join(filter(None, (self.place, str(key))))
                yield Unread(self.file, self.line_of(key), f"{place}: {brief(value)}", _kind(place))
        for children in self._inside.values():
            for child in children:
                yield from child.unread(silent)


def brief(value: Any) -> str:
    """Return a short text of a value."""
    if isinstance(value, dict):
        return "{" + ", ".join(map(str, list(value)[:3])) + (", ...}" if len(value) > 3 else "}")
    if isinstance(value, list):
        return brief(value[0]) if len(value) == 1 else f"{len(value)} items"
    text = str(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(place: str) -> str:
    """Return the key by which lines are grouped: the place without its indices."""
    return re.sub(r"\[\d+\]", "", place)
