"""Definitions that are nearly right: each is imported, or refused in one line, whatever is wrong in it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need_module

from lbkit.importer import ImportFault, read_config
from lbkit.importer.documents import read_documents

need_module("yaml")

CORPUS = {path.name: path for path in Path(__file__).with_name("corpus").iterdir()}
ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        7,
        0.5,
        1e300,
        "",
        "x",
        "-1",
        "*",
        "~(",
        "a\nb",
        "é",
        [],
        {},
        [1],
        ["x"],
        {"a": 1},
        [[]],
        [{}],
        [{"a": {}}],
    ]
)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each value in a document."""
    found = [here] if here else []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        found += places(one, (*here, key))
    return found


@pytest.mark.parametrize("name", CORPUS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(data=st.data())
def test_a_definition_with_something_odd_in_it(name: str, tmp_path: Path, data: st.DataObject) -> None:
    documents = json.loads(json.dumps(read_documents(name, CORPUS[name].read_text())))
    for _ in range(data.draw(st.integers(1, 3))):
        broken = deepcopy(documents)
        way = data.draw(st.sampled_from(places(documents)))
        at: Any = broken
        for key in way[:-1]:
            at = at[key]
        if isinstance(at, dict) and data.draw(st.booleans()):
            del at[way[-1]]
        else:
            at[way[-1]] = data.draw(ODD)
        documents = broken
    path = tmp_path / "broken.json"
    path.write_text("\n".join(json.dumps(one, indent=1) for one in documents) or "{}")
    try:
        said = read_config(path).report()
    except ImportFault as fault:
        said = [str(fault)]
    assert said
    assert not any("\n" in line for line in said)
