"""JSON and YAML: their lines, and files that only a hostile person writes."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_module

from lbkit.importer.documents import is_document, read_documents
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
    assert [one.line for one in (first, second)] == [1, 2]
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
        ("apiVersion: {[1]: 2}", "f, line 1: a key is not a text"),
        ("apiVersion: " + "[" * 3000, "f: more than 100 levels"),
        ('{"a": ' + "[" * 100_000, "f: more than 100 levels"),
        ("apiVersion: &a [1]\nb: [" + "*a, " * 21 + "]", "f: more than 20 aliases"),
        ("apiVersion: v1\na: &a\n  b: *a\n", "f, line 3: a is an alias of what it is in"),
        ('{"a": ' + "9" * 5000 + "}", "f: no JSON: Exceeds the limit"),
        ('{"a": [' + "{}," * 130_000 + "1]}", "f has more than 250,000 values"),
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


def test_an_alias_counts_as_what_it_stands_for() -> None:
    """Ten aliases of aliases of a long list: readers that copy it would take all memory."""
    lines = ["a0: &a0 [" + "1," * 5_000 + "]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 8))]
    with pytest.raises(ImportFault, match="f has more than 250,000 values"):
        read_documents("f", "apiVersion: v1\n" + "\n".join(lines))


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
