from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need_module

need_module("anywidget")

from lbkit import Closed, Experiment, ExperimentError, Server, Traffic, run
from lbkit.viz.theatre.director import ACTS, Director
from lbkit.viz.theatre.film import Film
from lbkit.viz.theatre.widget import Theatre

HOW: dict[str, list[dict[str, Any]]] = {
    **{what: [{"server": "a"}, {"server": "b"}] for what in ("kill", "revive", "drain", "undrain")},
    "slow": [{"server": "a", "factor": 0.2}],
    "weight": [{"server": "b", "weight": 3.0}, {"server": "b", "weight": 0.0}],
    "switch": [
        {"policy": "random"},
        {"policy": "prequal"},
        {"policy": "maglev"},
        {"policy": "power_of_choices", "choices": 3},
    ],
    "send": [{"client": 3}, {"client": 1, "requests": 40, "rate": 500.0}],
}
acts = st.sampled_from([(what, how) for what, some in HOW.items() for how in some])


def scene(policy: str = "round_robin", seed: int = 1) -> Experiment:
    fleet = [Server("a", workers=2, boot=0.1), Server("b", speed=2.0), Server("c", delay=0.005)]
    return Experiment(fleet, Traffic(duration=2.0, clients=9), policy, seed=seed).at_load(0.7)


def before(made: Film, t: float) -> dict[str, Any]:
    """Return what a film shows before second `t`."""

    def known(time: float | None, value: Any) -> Any:
        return value if time is not None and time < t else None

    sent, attempts = made.requests["sent"], made.attempts
    started = [i for i, at in enumerate(sent) if at < t]
    ended = made.requests["answered"]
    return {
        "requests": [(sent[i], made.requests["client"][i], made.requests["size"][i]) for i in started],
        "answers": [known(ended[i], (ended[i], made.requests["status"][i])) for i in started],
        "attempts": [
            (
                attempts["request"][i],
                attempts["server"][i],
                at,
                attempts["kind"][i],
                known(attempts["start"][i], attempts["start"][i]),
                known(attempts["end"][i], (attempts["end"][i], attempts["outcome"][i])),
            )
            for i, at in enumerate(attempts["at"])
            if at < t
        ],
        "states": [state for state in made.states if state["at"] < t],
        "captions": [caption for caption in made.captions if caption["at"] < t],
    }


def test_every_intervention_is_tried() -> None:
    assert HOW.keys() == ACTS.keys()


@settings(max_examples=12)
@given(
    st.sampled_from(["round_robin", "least_connections", "prequal", "consistent_hash"]),
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 250).map(lambda t: t / 100), acts), min_size=1, max_size=3),
)
def test_what_happened_before_an_intervention_stays_the_same_film(
    policy: str, seed: int, doings: list[tuple[float, tuple[str, dict[str, Any]]]]
) -> None:
    director = Director(scene(policy, seed))
    for at, (what, how) in doings:
        last = director.film
        after = director.act(what, at, **how)
        assert before(after, at) == before(last, at)
        assert after.clients == last.clients


def test_a_killed_server_serves_nothing_until_it_is_revived() -> None:
    director = Director(scene())
    director.act("kill", 0.5, server="a")
    film = director.act("revive", 1.0, server="a")
    served = [
        s for s, server in zip(film.attempts["start"], film.attempts["server"], strict=True) if server == 0
    ]
    assert not [s for s in served if s is not None and 0.5 < s < 1.1]  # it boots for a tenth of a second
    assert [s for s in served if s is not None and s > 1.1]
    states = [(state["at"], state["state"]) for state in film.states if state["kind"] == "server"]
    assert states == [(0.5, "down"), (1.0, "booting"), (1.1, "up")]


def test_a_switch_in_mid_run_picks_by_the_new_algorithm() -> None:
    film = Director(scene()).act("switch", 1.0, policy="least_connections")
    scored = {caption["at"] > 1.0 for caption in film.captions if caption["scores"]}
    assert scored == {True}
    assert [(s["at"], s["server"], s["state"]) for s in film.states if s["kind"] == "policy"] == [
        (1.0, None, "least_connections")
    ]


def test_a_request_sent_by_hand_is_one_more_and_the_others_are_as_before() -> None:
    director = Director(scene())
    usual = director.film.requests
    more = director.act("send", 0.7, client=2).requests
    assert len(more["sent"]) == len(usual["sent"]) + 1
    (at,) = [i for i, time in enumerate(more["sent"]) if time == 0.7]
    assert director.film.clients[more["client"][at]]["number"] in (2, None)
    for name in ("sent", "client", "size"):
        assert more[name][:at] + more[name][at + 1 :] == usual[name]
    by_lane = director.act("send", 0.8, client=director.film.clients[-1]["name"], requests=3)
    assert by_lane.requests["client"].count(7) == more["client"].count(7) + 3
    flood = director.act("send", 1.0, client=2, requests=100, rate=1000.0)
    assert len(flood.requests["sent"]) == len(usual["sent"]) + 104


def test_undo_brings_the_film_before_back() -> None:
    director = Director(scene())
    first = director.film
    second = director.act("kill", 1.0, server="b")
    director.act("slow", 0.5, server="a", factor=0.5)  # earlier: the kill is dropped
    assert [one.what for one in director.interventions] == ["slow"]
    assert director.undo() is second
    assert director.undo() is first
    assert director.undo() is first  # there is no more to undo


def test_the_experiment_with_its_interventions_can_be_run_and_saved() -> None:
    director = Director(scene())
    director.act("switch", 0.5, policy="power_of_choices", choices=3)
    director.act("send", 1.0, client=1, requests=5)
    saved = Experiment.from_toml(director.experiment.to_toml())
    assert saved == director.experiment
    assert run(saved).end == director.result.end


def test_a_theatre_has_its_director_do_what_the_viewer_does() -> None:
    theatre = Theatre(scene())
    theatre._received(theatre, {"do": "slow", "server": "a", "factor": 0.25, "at": 0.5, "stage": 0}, None)
    assert [state["state"] for state in theatre.films[0].states] == ["slow"]
    lane = theatre.films[0].clients[0]["name"]
    theatre._received(theatre, {"do": "send", "client": lane, "requests": 2, "at": 0.6, "stage": 0}, None)
    assert theatre.directors[0]
    assert theatre.directors[0].experiment.traffic.bursts[0].requests == 2


def test_what_cannot_be_is_refused_and_nothing_changes() -> None:
    director = Director(scene())
    first = director.film
    with pytest.raises(ValueError, match=r"unknown intervention kil; .*did you mean kill"):
        director.act("kil", 1.0, server="a")
    with pytest.raises(ValueError, match="slow needs factor"):
        director.act("slow", 1.0, server="a")
    with pytest.raises(ValueError, match="kill: unknown field speed"):
        director.act("kill", 1.0, server="a", speed=2)
    with pytest.raises(ValueError, match="at is None: use a number"):
        director.act("kill", None, server="a")  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match="server is 'x': use one of a, b, c"):
        director.act("kill", 1.0, server="x")
    with pytest.raises(ValueError, match="no algorithm 'rand'"):
        director.act("switch", 1.0, policy="rand")
    with pytest.raises(ValueError, match=r"bursts\[0\].client is 99: there are 9 clients"):
        director.act("send", 1.0, client=99)
    assert director.film is first
    closed = Director(scene().but(arrivals=Closed(3, 0.1)))
    with pytest.raises(ValueError, match="bursts: closed traffic has clients that wait"):
        closed.act("send", 1.0, client=1)


def test_a_knob_set_again_at_the_same_moment_is_one_intervention_and_one_undo() -> None:
    director = Director(scene())
    director.act("kill", 0.5, server="a")
    for factor in (0.9, 0.7, 0.3):
        director.act("slow", 1.0, server="b", factor=factor)
    assert [(one.what, one.how.get("factor")) for one in director.interventions] == [
        ("kill", None),
        ("slow", 0.3),
    ]
    director.act("weight", 1.0, server="b", weight=2.0)  # another knob
    director.act("slow", 1.0, server="a", factor=2.0)  # of another server
    assert len(director.interventions) == 4
    for _ in range(3):
        director.undo()
    assert [one.what for one in director.interventions] == ["kill"]


def test_two_requests_sent_at_one_moment_are_two() -> None:
    director = Director(scene())
    before = len(director.result.client)
    for _ in range(2):
        director.act("send", 1.0, client=1)
    assert len(director.result.client) == before + 2
