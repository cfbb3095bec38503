"""Layer 4 in virtual time: a backend for each connection, and what follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import (
    Closed,
    Constant,
    DrainRules,
    Event,
    Experiment,
    ExperimentError,
    Layer4,
    Patience,
    Poisson,
    Policy,
    RateLimit,
    Retry,
    Server,
    Sticky,
    Traffic,
    run,
    servers,
)
from lbkit.result import Result
from lbkit.sim.relaying import RelayingSimulation

SMALL = Experiment(servers(4, workers=4), Traffic(Poisson(60), duration=5, clients=40))


def used(result: Result) -> int:
    """How many servers got requests."""
    return sum(count > 0 for count in result.counts.values())


def test_one_http2_client_is_pinned_to_one_backend_at_layer_4() -> None:
    """At layer 7 its requests spread; at layer 4 the connection was balanced, once."""
    alone = SMALL.but(clients=1)
    spread = run(alone)
    pinned = run(alone.but(layer4=Layer4("one")))
    assert max(spread.counts.values()) - min(spread.counts.values()) <= 1
    assert used(pinned) == 1
    assert pinned.connections == 1
    assert spread.connections is None


def test_one_user_with_keep_alive_is_pinned_too() -> None:
    """One request at a time needs one connection only."""
    alone = SMALL.but(arrivals=Closed(1, think=0.05), clients=1)
    result = run(alone.but(layer4=Layer4("client")))
    assert (used(result), result.connections) == (1, 1)
    assert used(run(alone)) == 4


def test_a_new_connection_for_each_request_is_balanced_as_requests_are() -> None:
    relayed = run(SMALL.but(layer4=Layer4("request")))
    assert relayed.counts == run(SMALL).counts
    assert relayed.connections == len(relayed)


def test_without_a_proxy_header_ip_hash_sees_one_client() -> None:
    many = SMALL.but(policy=Policy("ip_hash"), clients=200)
    assert used(run(many)) == 4
    assert used(run(many.but(layer4=Layer4("client")))) == 1
    named = run(many.but(layer4=Layer4("client", proxy_protocol=True)))
    assert named.counts == run(many).counts  # the same key leads to the same backend, at both layers


def test_a_key_that_is_in_the_request_is_not_seen() -> None:
    hashed = SMALL.but(policy=Policy("consistent_hash", key="path"), layer4=Layer4("request"))
    assert used(run(hashed)) == 4  # by the flow


def test_a_crash_leaves_the_requests_on_its_connections_without_an_answer() -> None:
    busy = SMALL.but(arrivals=Poisson(200), events=(Event(2.0, "crash", "s1"),))
    relayed, balanced = run(busy.but(layer4=Layer4())), run(busy)
    assert balanced.error_rate == 0  # sent again, to another server
    assert relayed.error_rate > 0
    assert {status for status in relayed.status if status != 200} == {0}
    late = [b for b, arrival in zip(relayed.backend, relayed.arrival, strict=True) if arrival > 2.1]
    assert 0 not in late  # a connection that is refused goes to another server


def test_a_drained_backend_keeps_its_connections_until_the_timeout() -> None:
    """Draining at layer 4 is waiting for clients to leave; those with keep-alive do not."""
    drained = SMALL.but(layer4=Layer4("client"), events=(Event(1.0, "drain", "s1"),), clients=5)
    waits = run(drained)
    assert any(b == 0 and at > 2 for b, at in zip(waits.backend, waits.arrival, strict=True))
    cut = run(drained.but(policy=Policy(drain=DrainRules(timeout=0.5))))
    assert not any(b == 0 and at > 1.6 for b, at in zip(cut.backend, cut.arrival, strict=True))
    assert any(change.backend == "s1" and change.after == "drained" for change in cut.changes)


def test_algorithms_count_connections_and_idle_ones_too() -> None:
    """A slow server's connections last longer, but the fast one's are kept as well: the counts are equal."""
    two = (Server("slow", 8, service=Constant(0.2)), Server("fast", 8, service=Constant(0.02)))
    experiment = SMALL.but(servers=two, policy="least_connections", arrivals=Poisson(20), duration=20)
    at7 = run(experiment)
    at4 = run(experiment.but(layer4=Layer4("client")))
    assert at7.counts["slow"] < 0.35 * len(at7)
    assert at4.counts["slow"] > 0.4 * len(at4)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["client", "one", "shared", "request"]),
    st.sampled_from(["round_robin", "least_connections", "maglev", "power_of_two"]),
    st.integers(1, 50),
    st.lists(
        st.tuples(st.floats(0.1, 2.9), st.sampled_from(["crash", "slow", "hang", "lose", "fail"])), max_size=3
    ),
    st.integers(0, 99),
)
def test_every_request_ends_and_leases_are_those_of_open_connections(
    connections: str, policy: str, clients: int, faults: list[tuple[float, str]], seed: int
) -> None:
    events = [
        Event(at, action, f"s{i + 1}", **({"value": 0.5} if action in ("lose", "fail", "slow") else {}))
        for i, (at, action) in enumerate(faults)
    ]
    experiment = SMALL.but(
        layer4=Layer4(connections), policy=policy, clients=clients, events=events, seed=seed, duration=3
    )
    simulation = RelayingSimulation(experiment)
    result = simulation.run(grace=2.0)
    assert len(result) == len(run(experiment.but(layer4=None, events=())))
    kept = {id(c): c for kept in simulation.kept.values() for c in kept}
    there = kept | {id(c): c for c in simulation.under.values()}
    still_open = [c for c in there.values() if c.open]
    assert sum(b.in_flight for b in simulation.pool.backends) == len(still_open)
    assert simulation.opened >= len(still_open)


def test_an_experiment_says_what_layer_4_does_not_have() -> None:
    limit = RateLimit({"kind": "token_bucket", "rate": 1, "burst": 1})
    for wrong in ({"limits": limit}, {"policy": Policy(sticky=Sticky())}):
        with pytest.raises(ExperimentError, match=r"(limits|policy\.sticky): layer 4 reads no requests"):
            SMALL.but(layer4=Layer4(), **wrong)
    with pytest.raises(ValueError, match="connections cannot be 'shared'"):
        Layer4("shared", proxy_protocol=True)
    for wrong in ({"patience": Patience(1.0)}, {"policy": Policy(retry=Retry())}):
        with pytest.raises(ValueError, match="at layer 4 is not simulated"):
            run(SMALL.but(layer4=Layer4(), **wrong))
    with pytest.raises(ExperimentError, match="layer is 5: use 4 or 7"):
        run(SMALL, layer=5)


def test_it_is_data_and_an_option_of_run() -> None:
    experiment = SMALL.but(layer4=Layer4("one", proxy_protocol=True))
    assert Experiment.from_toml(experiment.to_toml()) == experiment
    assert run(SMALL, layer=4).connections == run(SMALL.but(layer4=Layer4("shared"))).connections
    assert run(experiment, layer=4).connections == run(experiment).connections
