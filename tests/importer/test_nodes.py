"""Nodes: what was asked for, and what was not, with its line."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from needs import need_module

from lbkit.importer.documents import read_documents
from lbkit.importer.found import ImportFault
from lbkit.importer.nodes import Node

need_module("yaml")


def read(text: str) -> Any:
    return read_documents("f", text)[0]


def node(**values: Any) -> Node:
    return Node(read(json.dumps(values)), "f")


def test_what_nobody_asked_for_is_listed_with_its_line() -> None:
    one = Node(read('{"a": 1,\n"b": {"c": 2,\n"d": 3, "e": null},\n"f": [{"g": 4}],\n"h": "x"}'), "f")
    assert one.number("a") == 1
    assert one.inside("b").number("c") == 2
    assert [str(left) for left in one.unread({"h"})] == ["f, line 4: f: {g}", "f, line 3: b.d: 3"]
    assert one.each("f")[0].text("g") == "4"
    assert [str(left) for left in one.unread({"h"})] == ["f, line 3: b.d: 3"]
    one.raw("b")
    assert list(one.unread({"h"})) == []


def test_values_are_read_as_what_they_should_be() -> None:
    one = node(a="x", b=3, c=True, d="0.25s", e=["y", 1], f="5m", g="250ms", h="false")
    assert (one.text("a"), one.text("b"), one.text("c"), one.text("none", "?")) == ("x", "3", "true", "?")
    assert (one.number("b"), one.number("d"), one.number("f"), one.number("g"), one.number("none", 7)) == (
        3,
        0.25,
        300,
        0.25,
        7,
    )
    assert (one.whole("b"), one.flag("c"), one.flag("h", True), one.flag("none", True)) == (
        3,
        True,
        False,
        True,
    )
    assert (one.texts("e"), one.texts("none"), one.each("none")) == (["y", "1"], [], [])
    assert one.inside("none").text("x") == ""


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda one: one.text("list"), "f, line 1: list is [1]: use a text"),
        (lambda one: one.number("text"), "text is 'x': use a number"),
        (lambda one: one.whole("half"), "half is 0.5: use a whole number"),
        (lambda one: one.flag("text"), "text is 'x': use true or false"),
        (lambda one: one.texts("text"), "text is 'x': use a list of texts"),
        (lambda one: one.inside("list"), "list is [1]: use a mapping"),
        (lambda one: one.each("text"), "text is 'x': use a list"),
        (lambda one: one.each("list"), "list[0] is 1: use a mapping"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_kind_of_value_is_refused(ask: Any, message: str) -> None:
    with pytest.raises(ImportFault, match=re.escape(message)):
        ask(node(list=[1], text="x", half=0.5))
