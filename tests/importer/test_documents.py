"""JSON and YAML: lines, what was asked for and what was not, and files that only a hostile person writes."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_module

from lbkit.importer.documents import Node, is_document, read_documents
from lbkit.importer.found import ImportFault

need_module("yaml")


def read(text: str) -> Any:
    return read_documents("f", text)[0]


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats(-1e6, 1e6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    value=st.dictionaries(st.text(max_size=5).filter(lambda key: key != "<<"), plain),
    indent=st.sampled_from([None, 2, "\t"]),
)
def test_json_is_read_as_by_everybody(value: dict[str, Any], indent: Any) -> None:
    text = json.dumps(value, indent=indent)
    assert read(text) == json.loads(text)


def test_documents_one_after_the_other_know_their_lines() -> None:
    first, second = read_documents("f", '{"a": 1}\n{\n "b": {\n  "c": 2}}')
    assert (first, second["b"].lines) == ({"a": 1}, {"c": 4})
    assert [Node(one, "f").line for one in (first, second)] == [1, 2]
    one, two = read_documents("f", "apiVersion: 1\n---\napiVersion: 2\n---\n")
    assert (one.line, two.line) == (1, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,}', "f, line 1: no JSON"),
        ('{\n"a": 1\n', "f, line 3: no JSON"),
        ('{"a": 1} x', "f, line 1: no JSON"),
        ('{"a": 1,\n"a": 2}', "f, line 2: 'a' is there twice: remove one"),
        ("apiVersion: [1\nkind: x", "f, line 2: no YAML"),
        ("apiVersion: 1\n\tkind: x", "f, line 2: no YAML"),
        ("apiVersion: 1\napiVersion: 2", "f, line 2: 'apiVersion' is there twice"),
        ("apiVersion: !!python/object/apply:os.system [true]", "f, line 1: no YAML: could not determine"),
        ("apiVersion: {[1]: 2}", "f, line 1: a name is no text"),
        ("apiVersion: " + "[" * 3000, "f: more than 100 levels"),
        ('{"a": ' + "[" * 100_000, "f: more than 100 levels"),
        ("apiVersion: &a [1]\nb: [" + "*a, " * 21 + "]", "f: more than 20 aliases"),
        ("apiVersion: 2020-13-45\n", "f: no YAML: month must be in"),
        ("apiVersion: " + "x" * (1 << 20), "at most 1,048,576 are read"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_wrong_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ImportFault, match=re.escape(message)) as caught:
        read_documents("f", text)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 30)]
    began = time.process_time()
    with pytest.raises(ImportFault, match="more than 20 aliases"):
        read_documents("f", "apiVersion: v1\n" + "\n".join(lines))
    assert time.process_time() - began < 5


def test_the_short_forms_of_cloudformation() -> None:
    found = read("Resources:\n  a: !Ref b\n  c: !GetAtt d.e.f\n  g: !Sub [x, {y: 1}]\n  h: !If [i, 1, 2]")
    assert found["Resources"] == {
        "a": {"Ref": "b"},
        "c": {"Fn::GetAtt": ["d", "e.f"]},
        "g": {"Fn::Sub": ["x", {"y": 1}]},
        "h": {"Fn::If": ["i", 1, 2]},
    }


@pytest.mark.parametrize(
    "text", ["events {}\nhttp { }", "backend a\n  server b 1.2.3.4:80", "", "# apiVersion: 1"]
)
def test_other_configurations_are_no_documents(text: str) -> None:
    assert not is_document(text)


# -- nodes -------------------------------------------------------------------------------------------------


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
