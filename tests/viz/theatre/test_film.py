from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from math import isnan
from pathlib import Path

import pytest
from films import EXPERIMENTS, result_of, save_all

from lbkit import run
from lbkit.result import good
from lbkit.viz.style import FAILED
from lbkit.viz.theatre import film


def test_a_film_is_strict_json_with_columns_of_one_length() -> None:
    made = film(result_of("small"))
    plain = json.loads(made.to_json())
    assert plain["version"] == 1
    assert plain == json.loads(json.dumps(made.to_dict()))
    for columns in (plain["requests"], plain["attempts"], plain["tries"]):
        assert len({len(column) for column in columns.values()}) == 1


def test_requests_and_attempts_are_in_order_of_time() -> None:
    made = film(result_of("small"))
    for times in (made.requests["sent"], made.attempts["at"], [state["at"] for state in made.states]):
        assert all(a <= b for a, b in pairwise(times))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_outcomes_are_those_of_the_rows(name: str) -> None:
    result = result_of(name)
    made = film(result)
    found = Counter(made.outcomes[code] for code in made.requests["outcome"])
    assert len(made.requests["row"]) == len(result)
    assert found["ok"] == sum(map(good, result.status))
    assert found["denied"] == sum(status == 429 for status in result.status)


def test_without_a_recording_the_attempt_that_answered_is_shown() -> None:
    result = run(EXPERIMENTS["small"])
    made = film(result)
    assert "only the last attempt" in made.notes[0]
    assert not made.captions
    rows = [made.requests["row"][request] for request in made.attempts["request"]]
    assert sorted(rows) == [row for row, server in enumerate(result.backend) if server >= 0]
    for row, server, start in zip(rows, made.attempts["server"], made.attempts["start"], strict=True):
        assert server == result.backend[row]
        assert (start is None) == isnan(result.start[row])


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if not EXPERIMENTS[name].tiers])
def test_a_recorded_run_has_every_attempt(name: str) -> None:
    result = result_of(name)
    made = film(result)
    assert len(made.attempts["at"]) == len(result.extra["attempts"])
    pairs = zip(made.attempts["request"], made.attempts["at"], made.attempts["outcome"], strict=True)
    for request, at, outcome in pairs:
        assert made.requests["sent"][request] <= at <= made.requests["answered"][request]
        assert outcome < len(made.outcomes)
    assert not any("last attempt" in note for note in made.notes)


def test_a_storm_has_all_that_looks_different() -> None:
    made = film(result_of("stormy"))
    assert {made.kinds[kind] for kind in made.attempts["kind"]} == {"first", "retry", "hedge"}
    ended = {made.outcomes[code] for code in made.attempts["outcome"]}
    assert ended >= {"ok", "failed", "left", "cancelled"}
    assert {made.outcomes[code] for code in made.requests["outcome"]} >= {"ok", "denied"}
    assert {state["kind"] for state in made.states} >= {"speed", "breaker", "drain"}
    assert len(made.tries["request"]) > len(set(made.tries["request"]))


def test_captions_say_why_and_point_at_the_server_that_was_picked() -> None:
    made = film(result_of("small"))
    assert made.captions
    for caption in made.captions[:300]:
        names = [server["name"] for server in made.servers]
        assert set(caption["scores"]) <= set(names)
        if caption["best"] == "lowest":
            assert caption["scores"][names[caption["chosen"]]] == min(caption["scores"].values())
    ring = film(result_of("ring"))
    assert 0 <= ring.captions[0]["place"] < 1
    assert ring.captions[0]["near"]


def test_a_long_run_is_cut_and_the_notes_say_so() -> None:
    result = result_of("small")
    made = film(result, start=2.0, most=50)
    assert len(made.requests["row"]) == 50
    assert 2.0 < made.end < 10.0
    assert f"50 of {len(result)} requests" in made.notes[0]
    assert all(answered >= 2.0 for answered in made.requests["answered"])
    assert film(result, duration=1.5).end == 1.5
    assert not any("shown:" in note for note in film(result).notes)


def test_clients_have_lanes_of_their_own_colours_and_none_is_red() -> None:
    made = film(result_of("small"))
    colours = [client["colour"] for client in made.clients]
    assert len(set(colours)) == len(colours) == 8
    assert FAILED not in colours
    assert made.clients[-1]["name"] == "others"  # of twelve clients
    few = film(run(EXPERIMENTS["small"].but(clients=3, duration=1)))
    assert [client["name"] for client in few.clients] == ["c0", "c1", "c2"]
    assert [client["number"] for client in few.clients] == [0, 1, 2]


def test_what_happens_to_servers_is_told() -> None:
    made = film(result_of("small"))
    told = [
        (s["at"], made.servers[s["server"]]["name"], s["state"]) for s in made.states if s["kind"] == "server"
    ]
    assert told == [(3.0, "slow", "down"), (5.0, "slow", "up")]


def test_wrong_options_are_named() -> None:
    result = result_of("small")
    with pytest.raises(ValueError, match=r"start is 99 s: the run was over at"):
        film(result, start=99)
    with pytest.raises(ValueError, match="duration"):
        film(result, duration=0)
    with pytest.raises(ValueError, match="result is 3: use a Result"):
        film(3)  # type: ignore[arg-type]


def test_films_can_be_saved(tmp_path: Path) -> None:
    save_all(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(EXPERIMENTS)
