"""TLS and HTTP/2 clients in an experiment, and what the simulator makes of them."""

from __future__ import annotations

import pytest
from attrs import evolve

from lbkit import (
    Closed,
    Constant,
    ConstantRate,
    Experiment,
    ExperimentError,
    Layer4,
    Patience,
    Poisson,
    Tls,
    Traffic,
    run,
    servers,
)

COST = Tls(handshake=0.002, resumed=0.001)
BASE = Experiment(servers(3, service=Constant(0.01)), Traffic(Poisson(60), duration=5), tls=COST)


def test_what_clients_speak_survives_a_file() -> None:
    for experiment in (
        BASE,
        BASE.but(reuse=False),
        BASE.but(http="2", tls=Tls(minimum="1.3", resumption=False)),
    ):
        assert Experiment.from_toml(experiment.to_toml()) == experiment
        assert Experiment.from_json(experiment.to_json()) == experiment


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"layer4": Layer4()}, "tls: layer 4 reads no requests"),
        ({"tls": None, "http": "2", "layer4": Layer4()}, "layer4.connections is 'client': with traffic.http"),
        ({"tls": None, "reuse": False, "layer4": Layer4()}, "with traffic.reuse = false use 'request'"),
        ({"http": "2", "reuse": False}, "reuse is false: with http='2'"),
        ({"http": "3"}, "http is '3': use 1.1, 2"),
    ],
)
def test_connections_that_cannot_be_are_named(change: dict[str, object], why: str) -> None:
    with pytest.raises((ExperimentError, ValueError), match=why):
        BASE.but(**change)


def test_a_wrong_field_of_a_file_is_named() -> None:
    with pytest.raises(ExperimentError, match=r"tls.minimum is '1.1': use 1.2, 1.3"):
        Experiment.from_toml(BASE.to_toml().replace("[tls]", '[tls]\nminimum = "1.1"'))


def test_layer_4_follows_the_clients() -> None:
    plain = BASE.but(tls=None)
    assert plain.at_layer(4).layer4 == Layer4("shared")
    assert plain.but(http="2").at_layer(4).layer4 == Layer4("one")


def test_a_new_connection_for_each_request_is_a_handshake_for_each() -> None:
    kept, new = run(BASE), run(BASE.but(reuse=False))
    never = run(BASE.but(reuse=False, tls=evolve(COST, resumption=False)))
    assert new.handshakes == never.handshakes == len(new)
    assert never.resumed == 0
    assert new.resumed == len(new) - 1
    assert kept.handshakes is not None
    assert kept.handshakes < len(kept) / 4  # as many as there were requests at once
    assert kept.mean < new.mean < never.mean


def test_handshakes_wait_for_each_other() -> None:
    slow = Tls(handshake=0.1, resumption=False)
    several = servers(3, service=Constant(0.01), workers=50)
    result = run(Experiment(several, Traffic(ConstantRate(1000), duration=0.01, reuse=False), tls=slow))
    waits = sorted(result.waiting)
    assert len(waits) == 10
    assert waits[0] == pytest.approx(0.1)
    assert waits[-1] == pytest.approx(1.0, abs=0.01)


def test_http2_clients_shake_hands_once_each() -> None:
    result = run(BASE.but(http="2", clients=7))
    assert result.handshakes == 7
    assert result.resumed == 0


def test_users_and_clients_that_leave_shake_hands_too() -> None:
    crowd = run(BASE.but(arrivals=Closed(users=5, think=0.05)))
    assert crowd.handshakes is not None
    assert 0 < crowd.handshakes <= 5  # a user waits for its answer
    hurried = BASE.but(patience=Patience(timeout=0.005, retries=0), tls=Tls(handshake=0.004, resumed=0.004))
    result = run(hurried)
    assert result.error_rate == 1  # nothing is served within 5 ms
    assert result.handshakes == len(result)  # a client that leaves closes its connection


def test_the_simulator_says_what_costs_nothing() -> None:
    def said(**change: object) -> str:
        return " ".join(run(BASE.but(duration=0.5, **change)).notes)

    assert "TLS costs nothing here: set tls.handshake" in said(tls=Tls())
    assert "handshakes wait for each other only" in said()
    assert "HTTP/2 costs what HTTP/1.1 does here" in said(tls=None, http="2")
    assert "new connections cost nothing here" in said(tls=None, reuse=False)
    assert not said(tls=None)


def test_without_tls_there_are_no_handshakes() -> None:
    result = run(BASE.but(tls=None))
    assert result.handshakes is None
    assert result.handshake_mean is None


def test_one_http2_client_pins_everything_at_layer_4() -> None:
    one = BASE.but(tls=None, http="2", clients=1)
    pinned, spread = run(one, layer=4), run(one)
    assert sorted(pinned.counts.values()) == [0, 0, len(pinned)]
    assert max(spread.counts.values()) - min(spread.counts.values()) <= 1
