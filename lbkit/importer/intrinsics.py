"""Resolves the functions of a CloudFormation template as far as possible without deploying it.

Parameters have their defaults, so conditions on them are known, too. Values that only a deployment
knows are listed and left out; conditions that only a deployment knows are taken as true.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from lbkit.importer.documents import Table
from lbkit.importer.found import Unread
from lbkit.importer.nodes import Node

NO_VALUE = "AWS::NoValue"  # as the value of a property: the property is not set


class Values:
    """Resolves the values of a template. What is not known is None."""

    def __init__(self, template: Node, unread: list[Unread]) -> None:
        self.file, self.unread = template.file, unread
        self.parameters = {
            name: _default(one)
            for name, one in template.inside("Parameters").value.items()
            if isinstance(one, dict)
        }
        self.mappings = template.inside("Mappings").value
        self.conditions = template.inside("Conditions").value
        self._known: dict[str, bool | None] = {}

    def plain(self, value: Any, line: int = 0) -> Any:
        """Return a value without functions."""
        line = getattr(value, "line", 0) or line
        if isinstance(value, list):
            return [one for part in value if (one := self.plain(part, line)) is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if isinstance(name, str) and (name == "Ref" or name.startswith("Fn::")):
                return self._call(name, argument, line)
        found = Table()
        found.line, found.lines = line, getattr(value, "lines", {})
        found.update((key, self.plain(one, found.lines.get(key) or line)) for key, one in value.items())
        return found

    def holds(self, name: str, line: int = 0) -> bool:
        """Return whether a condition holds; one that is not known is listed, and taken as true."""
        found = self._condition(name, line)
        if found is None:
            self.unread.append(Unread(self.file, line, f"condition {name}: taken as true", "condition"))
        return found is not False

    def _call(self, name: str, argument: Any, line: int) -> Any:
        if name == "Ref" and argument == NO_VALUE:
            return None
        if name == "Fn::If" and isinstance(argument, list) and len(argument) == 3:
            return self.plain(argument[1 if self.holds(str(argument[0]), line) else 2], line)
        before = len(self.unread)
        resolve = self._FUNCTIONS.get(name)
        found = resolve(self, argument, line) if resolve else None
        if found is None and len(self.unread) == before:  # else the unknown part is listed already
            what = f"{name} {argument}" if name == "Ref" else name
            self.unread.append(Unread(self.file, line, f"{what}: only a deployment knows its value", name))
        return found

    # -- functions: each returns None for an unknown value, or arguments of a wrong form --------------------

    def _ref(self, name: Any, line: int) -> Any:
        """A parameter's default; the name itself of a resource or pseudo parameter, such as AWS::Region."""
        return self.parameters.get(name, name) if isinstance(name, str) else None

    def _get_att(self, argument: Any, line: int) -> Any:
        """The name of the resource, which stands for its attributes, such as the ARN."""
        if isinstance(argument, list):
            return argument[0] if argument else None
        return str(argument).partition(".")[0]

    def _sub(self, argument: Any, line: int) -> Any:
        """A text with ${Name} and ${Resource.Attribute} in it, and ${!Name} for ${Name}."""
        text, given = argument if _pair(argument)[0] else (argument, {})
        own = self.plain(given, line)
        names = {**self.parameters, **(own if isinstance(own, dict) else {})}

        def named(found: re.Match[str]) -> str:
            name = found[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            value = names.get(name, name.partition(".")[0])
            return name if value is None else _text(value)

        return re.sub(r"\$\{([^}]+)\}", named, str(text))

    def _join(self, argument: Any, line: int) -> Any:
        separator, parts = _pair(argument)
        before = len(self.unread)
        parts = self.plain(parts, line)
        if not isinstance(parts, list) or len(self.unread) > before:
            return None
        return str(separator).join(map(_text, parts))

    def _split(self, argument: Any, line: int) -> Any:
        separator, text = _pair(argument)
        text = self.plain(text, line)
        return text.split(separator) if isinstance(text, str) and separator else None

    def _select(self, argument: Any, line: int) -> Any:
        place, parts = (self.plain(part, line) for part in _pair(argument))
        if isinstance(parts, list) and re.fullmatch(r"[0-9]{1,4}", _text(place)):
            return dict(enumerate(parts)).get(int(place))
        return None

    def _find_in_map(self, argument: Any, line: int) -> Any:
        found: Any = self.mappings
        for key in self.plain(argument, line)[:3] if isinstance(argument, list) else ():
            found = found.get(_text(key)) if isinstance(found, dict) else None
        return None if isinstance(found, dict) else found

    _FUNCTIONS: ClassVar[dict[str, Callable[[Values, Any, int], Any]]] = {
        "Ref": _ref,
        "Fn::FindInMap": _find_in_map,
        "Fn::GetAtt": _get_att,
        "Fn::Join": _join,
        "Fn::Select": _select,
        "Fn::Split": _split,
        "Fn::Sub": _sub,
    }

    # -- conditions ---------------------------------------------------------------------------------------

    def _condition(self, name: str, line: int) -> bool | None:
        if name not in self._known:
            self._known[name] = None  # for one that depends on itself
            self._known[name] = self._is_true(self.conditions.get(name), line)
        return self._known[name]

    def _is_true(self, expression: Any, line: int) -> bool | None:
        if not isinstance(expression, dict) or len(expression) != 1:
            return None
        name, argument = next(iter(expression.items()))
        if name == "Condition":
            return self._condition(str(argument), line)
        if name == "Fn::Equals":
            left, right = (self.plain(part, line) for part in _pair(argument))
            return None if left is None or right is None else _text(left) == _text(right)
        parts = [self._is_true(part, line) for part in argument] if isinstance(argument, list) else []
        if name == "Fn::Not" and len(parts) == 1:
            return None if parts[0] is None else not parts[0]
        decides = {"Fn::And": False, "Fn::Or": True}.get(name)  # a single one of these is enough
        if decides is None or not parts:
            return None
        return decides if decides in parts else None if None in parts else not decides


def _default(parameter: Mapping[str, Any]) -> Any:
    value = parameter.get("Default")
    is_list = str(parameter.get("Type", "")).startswith(("List<", "CommaDelimitedList"))
    return value.split(",") if is_list and isinstance(value, str) else value


def _pair(argument: Any) -> tuple[Any, Any]:
    return tuple(argument) if isinstance(argument, list) and len(argument) == 2 else (None, None)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
