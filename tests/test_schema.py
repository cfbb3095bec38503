from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from lbkit import (
    Admission,
    Event,
    Experiment,
    ExperimentError,
    Policy,
    RateLimit,
    Server,
    SlowStart,
    Traffic,
    presets,
    servers,
)
from lbkit.arrivals import Arrivals
from lbkit.distributions import Service
from lbkit.net.config import BackendConfig, ProxyConfig
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.settings import Limits, Timeouts
from lbkit.net.shared_store import SharedStore
from lbkit.schema import parse

E = Experiment(servers(2), Traffic(duration=5))

CLASSES = [
    *(Admission, Event, Experiment, Policy, RateLimit, Server, SlowStart, Traffic),
    *(*Service.__args__, *Arrivals.__args__),
    *(BackendConfig, ProxyConfig, Bandwidth, Limits, Timeouts, SharedStore),
]


# -- wrong keywords ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_names_the_field_that_was_meant(cls: type) -> None:
    fields = [f.name for f in attrs.fields(cls)] if attrs.has(cls) else list(cls.__dataclass_fields__)
    for name in fields:
        with pytest.raises(
            TypeError, match=rf"^{cls.__name__}: unknown field {name}x; .*did you mean {name}\?"
        ):
            cls(**{f"{name}x": 1})


def test_but_knows_the_fields_of_traffic_too() -> None:
    with pytest.raises(TypeError, match=r"^unknown field durations; .*did you mean duration\?"):
        E.but(durations=3)
    with pytest.raises(TypeError, match=r"did you mean policy\?"):
        E.but(polcy="random")


def test_an_action_names_its_field() -> None:
    with pytest.raises(ValueError, match=r"^action is 'crashed': use one of crash, .*; did you mean crash\?"):
        Event(1, "crashed", "s1")
    text = E.to_toml() + '[[events]]\nat = 1\naction = "crashed"\nserver = "s1"\n'
    with pytest.raises(ExperimentError, match=r"^events\[0\]\.action is 'crashed': use one of"):
        Experiment.from_toml(text)


# -- one for several, and a percentage for a share ----------------------------------------------------


def test_one_by_itself_is_a_list_of_one() -> None:
    assert Experiment(Server("a")).servers == (Server("a"),)
    assert E.but(events=Event(1, "crash", "s1")).events == (Event(1, "crash", "s1"),)
    with pytest.raises(ExperimentError, match=r"servers\[0\] is 'abc': use a Server"):
        Experiment("abc")


@pytest.mark.parametrize("percent", [80, 90, 120])
def test_a_percentage_as_a_load_is_questioned(percent: int) -> None:
    with pytest.raises(ExperimentError, match=rf"load is {percent}: .*is {percent / 100:g} meant\?"):
        E.at_load(percent)
    assert E.at_load(percent / 100).load == pytest.approx(percent / 100)


# -- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("servers = [", "line 1, column 12"),
        ("seed = 1\nname = x\n", "line 2, column 8"),
        ("seed = 1\nseed = 2\n", "line 2, column 9"),
        ('name = "a\n', "line 1, column 10"),
    ],
)
def test_bad_toml_names_file_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    for load in (Experiment.load_file, ProxyConfig.load):
        with pytest.raises(ValueError, match=place) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}, {place}: not TOML: ")
        assert "\n" not in str(caught.value)


def test_bad_json_names_file_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    path.write_text('{"seed": 1,\n "name" x}')
    with pytest.raises(ExperimentError, match=r"line 2, column 9: not JSON: Expecting ':' delimiter$"):
        Experiment.load_file(path)
    assert parse(json.dumps([1]), "JSON", ValueError) == [1]


def test_a_byte_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(ExperimentError, match="byte 9: not TOML: no UTF-8 text"):
        Experiment.load_file(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_bytes(b"\xef\xbb\xbf" + E.to_toml().encode())
    assert Experiment.load_file(path) == E


@pytest.mark.parametrize("name", ["e.toml", "e.json", "E.TOML"])
def test_a_file_is_what_its_name_says(tmp_path: Path, name: str) -> None:
    E.save_file(tmp_path / name)
    assert Experiment.load_file(tmp_path / name) == E


@pytest.mark.parametrize("name", ["e.yaml", "e", "toml"])
def test_a_name_that_promises_something_else_is_refused(tmp_path: Path, name: str) -> None:
    for use in (E.save_file, Experiment.load_file):
        with pytest.raises(ExperimentError, match=r"use a name that ends in \.toml or \.json"):
            use(tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"url": "a", "url": ""}', "the name 'url' occurs twice in one object: leave one out"),
        ('{"a": [{"b": 1, "c": 2, "b": 1}]}', "the name 'b' occurs twice in one object: leave one out"),
        ('{"a": ' + "9" * 5000 + "}", "a number has too many digits"),
    ],
    ids=["twice", "inside", "digits"],
)
def test_json_that_readers_would_take_differently_is_refused(text: str, why: str) -> None:
    with pytest.raises(ExperimentError, match=f"^e.json: {why}$"):
        parse(text, "JSON", ExperimentError, "e.json")


# -- words ---------------------------------------------------------------------------------------------


def test_a_misspelt_word_names_the_likely_one() -> None:
    with pytest.raises(ValueError, match=r"^queue is 'prority': use fifo, .*; did you mean priority\?"):
        Admission(rate=1, queue="prority")
    with pytest.raises(ValueError, match=r"nginx has no 'ip_hsh': .*; did you mean ip_hash\?"):
        presets.nginx("ip_hsh")
    text = E.to_toml() + '[traffic.arrivals]\nkind = "poison"\n'
    with pytest.raises(ExperimentError, match=r"^traffic\.arrivals is .*; did you mean poisson\?"):
        Experiment.from_toml(text)
