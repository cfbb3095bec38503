"""JSON and YAML documents whose mappings know their line numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import inf
from typing import Any

from lbkit.core.text import shown
from lbkit.importer.found import ImportFault
from lbkit.needs import why_not

MOST_JSON, MOST_YAML = 16 << 20, 1 << 20  # characters; reading YAML is slow, as it is done in Python
MOST_ALIASES = 20  # of a YAML document: nested aliases can grow exponentially
MOST_DEEP = 100  # levels of nesting
MOST_VALUES = 250_000  # of a file; an alias counts as what it stands for

_YAML = re.compile(r"^(?:apiVersion|static_resources|Resources|AWSTemplateFormatVersion)\s*:", re.MULTILINE)


class Table(dict[Any, Any]):
    """A mapping that knows its lines."""

    line = 0  # where it begins
    lines: dict[Any, int]  # key -> line


def is_document(text: str) -> bool:
    """Return whether a text looks like JSON or YAML of a known kind, rather than nginx's or HAProxy's."""
    return text.lstrip()[:1] in ("{", "[") or _YAML.search(text) is not None


def read_documents(file: str, text: str) -> list[Any]:
    """Return the documents of a file, with Tables as mappings. JSON texts may follow one another.

    Raises ImportFault with the line of an error, and for sizes and nesting that only hostile files have."""
    if hint := why_not("documents"):
        raise ImportFault(hint)
    if text.lstrip()[:1] in ("{", "["):
        return _json(file, text)
    return _yaml(file, text)


def _json(file: str, text: str) -> list[Any]:
    """Return the JSON texts: values and errors from Python's reader, lines from YAML's, as JSON is YAML."""
    _check_size(file, text, MOST_JSON)
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise ImportFault(f"{file} has more than {MOST_VALUES:,} values: at most so many are read")
    decoder, at, pieces = json.JSONDecoder(), 0, []
    try:
        while match := re.compile(r"\s*(?=\S)").match(text, at):
            value, end = decoder.raw_decode(text, match.end())
            pieces.append((value, text.count("\n", 0, match.end()), text[match.end() : end]))
            at = end
    except json.JSONDecodeError as error:
        raise ImportFault(f"{file}, line {error.lineno}: no JSON: {error.msg}") from None
    except ValueError as error:  # a number with thousands of digits
        raise ImportFault(f"{file}: no JSON: {error}") from None
    except RecursionError:
        raise ImportFault(f"{file}: more than {MOST_DEEP} levels") from None
    return [_located(value, _load(file, _simple(piece), before, True)[0]) for value, before, piece in pieces]


def _simple(text: str) -> str:
    """Return a JSON text in which tabs, characters and escapes that YAML's reader rejects are replaced; only
    its lines are used."""
    odd = re.compile(r"\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|.)|[^\n\r -~]", re.DOTALL)

    def simple(found: re.Match[str]) -> str:
        if found[0] == "\t":
            return " "
        if found[0].startswith("\\"):
            return found[0].removeprefix("\\") if len(found[0]) == 6 else found[0]
        return f"u{ord(found[0]):x}"

    return odd.sub(simple, text)


def _located(value: Any, like: Any) -> Any:
    """Return a value with the lines of `like`, which YAML's reader has made of the same text."""
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
    if is_json and _depth(text) <= MOST_DEEP:  # the reader in C has no limit of its own
        base = getattr(yaml, "CSafeLoader", base)

    class Loader(base):  # type: ignore[misc]
        aliases, values = 0, 0.0

        def compose_document(self) -> Any:
            self.sizes: dict[str, float] = {}  # of what has an anchor, in values; inf: it has not ended
            return super().compose_document()

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if self.check_event(yaml.AliasEvent):
                self.aliases += 1
                if self.aliases > MOST_ALIASES:
                    raise ImportFault(f"{file}: more than {MOST_ALIASES} aliases: write them out")
                self.values += self.sizes.get(event.anchor, 0)
            before, self.values = self.values, self.values + 1
            if self.values == inf:
                line = event.start_mark.line + 1
                raise ImportFault(
                    f"{file}, line {line}: {event.anchor} is an alias of what it is in: write it out"
                )
            if self.values > MOST_VALUES:
                raise ImportFault(f"{file} has more than {MOST_VALUES:,} values: at most so many are read")
            if new := event.anchor and not self.check_event(yaml.AliasEvent):
                self.sizes[event.anchor] = inf
            node = super().compose_node(parent, index)
            if new:
                self.sizes[event.anchor] = self.values - before
            return node

    def table(loader: Any, node: Any) -> Iterator[Table]:
        found = Table()
        found.line = before + node.start_mark.line + 1
        yield found
        found.lines = {}
        for key, _ in node.value:
            line = before + key.start_mark.line + 1
            if not isinstance(key.value, str):
                raise ImportFault(f"{file}, line {line}: a key is not a text: use texts as keys")
            if key.value in found.lines and key.value != "<<":
                raise ImportFault(f"{file}, line {line}: {shown(key.value)} is there twice: remove one")
            found.lines[key.value] = line
        found.update(loader.construct_mapping(node))

    def function(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        """Return a short form of CloudFormation, such as !Ref, in its long form."""
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
    """Return the number of nested levels of a JSON text."""
    deepest = depth = 0
    for one in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if one[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif one[0] in "]}":
            depth -= 1
    return deepest
