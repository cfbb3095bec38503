"""Chains of services: what they refuse, and laws of what happens in them, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import (
    Admission,
    AttemptTimeouts,
    BreakerRules,
    Closed,
    Constant,
    Event,
    Experiment,
    ExperimentError,
    Exponential,
    Fallback,
    HealthRules,
    Poisson,
    Policy,
    Retry,
    Server,
    Traffic,
    run,
    servers,
)
from lbkit.call_chain import CallChain, run_chain, with_policies
from lbkit.sim.call_chain import ChainSimulation

TRAFFIC = Traffic(Poisson(40), duration=5)


def service(name: str, **fields: Any) -> Experiment:
    known = {"servers": servers(3, workers=20, service=Constant(0.01)), "policy": Policy("round_robin")}
    return Experiment(**{**known, **fields}, name=name)


def chain(share: float = 1.0, traffic: Traffic = TRAFFIC, **last: Any) -> CallChain:
    return CallChain([service("web", traffic=traffic), service("api"), service("db", **last)], share)


# -- what it refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"admission": Admission(rate=9)}, "admission"),
        ({"policy": Policy(retry=Retry(deadline=1.0))}, "policy.retry.deadline"),
        ({"servers": [Server("s1", discipline="processor_sharing")]}, r"servers\[0\].discipline"),
        ({"servers": [Server("s1", cancels=True)]}, r"servers\[0\].cancels"),
        ({"events": [Event(1, "hang", "s1")]}, r"events has 'hang'.*: in a call chain use slow"),
    ],
)
def test_what_a_chain_does_without_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ExperimentError, match=rf"services\[2\].*{said}"):
        chain(**fields)


def test_services_need_names_and_an_open_loop() -> None:
    with pytest.raises(ExperimentError, match="two experiments or more"):
        CallChain([service("web")])
    with pytest.raises(ExperimentError, match=r"'web', 'web'.*: give each a name of its own"):
        CallChain([service("web"), service("web")])
    with pytest.raises(ExperimentError, match="'closed': use an open loop"):
        chain(traffic=Traffic(Closed(3), 5))
    with pytest.raises(ValueError, match="share is 2"):
        chain(share=2)
    with pytest.raises(ValueError, match=r"unknown service dbs.*db"):
        with_policies(chain(), dbs="random")
    with pytest.raises(ValueError, match="unknown engine nginx"):
        run_chain(chain(), on="nginx")
    with pytest.raises(ValueError, match="use a CallChain"):
        run_chain(service("web"))  # type: ignore[arg-type]


# -- calls -------------------------------------------------------------------------------------------


def test_each_request_is_a_call_of_each_service_and_takes_their_time_together() -> None:
    found = run_chain(chain())
    assert list(found) == ["web", "api", "db"]
    assert len({len(result) for result in found.values()}) == 1
    for name, time in (("web", 0.03), ("api", 0.02), ("db", 0.01)):
        assert found[name].percentile(50) == pytest.approx(time)
        assert found[name].service[0] == pytest.approx(time)  # a worker is held meanwhile


def test_a_service_that_nobody_needs_is_not_called_and_the_first_runs_as_alone() -> None:
    alone = run(service("web", traffic=TRAFFIC))
    found = run_chain(chain(share=0.0))
    assert [len(found[name]) for name in ("api", "db")] == [0, 0]
    for column in ("arrival", "end", "backend", "status"):
        assert list(getattr(found["web"], column)) == list(getattr(alone, column))


def test_a_share_of_paths_needs_the_next_service() -> None:
    found = run_chain(chain(share=0.3, traffic=Traffic(Poisson(200), 5, paths=1000)))
    assert len(found["api"]) == len(found["db"])  # what calls the second service needs the third, too
    assert 0.2 < len(found["api"]) / len(found["web"]) < 0.4
    same = run_chain(chain(share=0.3, traffic=Traffic(Poisson(200), 5, paths=1000)))
    assert all(same[name].columns == found[name].columns for name in found)


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_retries_of_several_services_multiply(retries: int) -> None:
    again = Policy("round_robin", retries=retries, retry=Retry(statuses=[500]))
    broken = [Server(f"s{i}", workers=20, service=Constant(0.01), error_rate=1.0) for i in range(3)]
    layers = [service(n, policy=again, **more) for n, more in (("web", {"traffic": TRAFFIC}), ("api", {}))]
    found = run_chain(CallChain([*layers, service("db", servers=broken, policy=again)]))
    tried = sum(found["db"].attempts)
    assert tried == (1 + retries) ** 3 * len(found["web"])
    assert set(found["web"].status) == {500}


def test_a_worker_is_held_by_a_slow_service_until_a_timeout_or_a_breaker_frees_it() -> None:
    slow = [Event(1, "slow", f"s{i}", 0.001) for i in (1, 2, 3)]
    few = servers(1, workers=2, service=Constant(0.001))
    rules = Retry(timeouts=AttemptTimeouts(total=0.5), fallback=Fallback("empty"))
    open_soon = HealthRules(breaker=BreakerRules(consecutive=1, open_for=60))
    policies = {
        "waits": Policy("round_robin"),
        "timeout": Policy("round_robin", retries=0, retry=rules),
        "breaker": Policy("round_robin", retries=0, retry=rules, health=open_soon),
    }
    late = {}
    for name, policy in policies.items():
        first = service("web", servers=few, traffic=TRAFFIC)
        found = run_chain(CallChain([first, service("db", policy=policy, events=slow)]))["web"]
        late[name] = sum(latency > 1 for latency in found.latency) / len(found)
    assert late["waits"] > 0.7
    assert 0.4 < late["timeout"] < late["waits"]  # two workers, half a second each: 4 of 40 a second
    assert late["breaker"] < 0.3


def test_a_crash_ends_what_its_workers_wait_for() -> None:
    # The api's only server waits for the database, and crashes: its caller learns of it at once.
    only = servers(1, workers=50, service=Constant(0.001))
    crash = [Event(2, "crash", "s1"), Event(3, "recover", "s1")]
    slow = servers(3, workers=50, service=Constant(1.0))
    found = run_chain(
        CallChain(
            [
                service("web", servers=servers(1, workers=99, service=Constant(0.001)), traffic=TRAFFIC),
                service("api", servers=only, events=crash),
                service("db", servers=slow),
            ]
        )
    )["api"]
    lost = [a for a, s in zip(found.arrival, found.status, strict=True) if s == 502]
    assert min(lost) < 1.2
    assert max(lost) < 3
    assert {s for a, s in zip(found.arrival, found.status, strict=True) if a > 3} == {200}


happening = st.tuples(
    st.floats(0, 5), st.sampled_from(["slow", "crash", "recover", "fail", "delay"]), st.sampled_from("123")
)
VALUES = {"slow": 0.05, "fail": 0.5, "delay": 0.1}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(happening, max_size=6),
    st.integers(0, 2),
    st.booleans(),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_whatever_happens_each_call_ends_once_and_no_worker_stays_held(
    events: list[tuple[float, str, str]], retries: int, breaker: bool, share: float, seed: int
) -> None:
    happens = [Event(at, action, f"s{n}", VALUES.get(action)) for at, action, n in events]
    policy = Policy(
        "least_connections",
        retries=retries,
        retry=Retry(timeouts=AttemptTimeouts(total=0.2), statuses=[500]),
        health=HealthRules(breaker=BreakerRules(minimum=5, open_for=0.5)) if breaker else None,
    )
    small = servers(3, workers=2, service=Exponential(0.01))
    layers = [service(name, servers=small, policy=policy, events=happens, seed=seed) for name in ("b", "c")]
    first = service("a", servers=small, policy=policy, traffic=TRAFFIC, seed=seed)
    simulation = ChainSimulation(CallChain([first, *layers], share))
    found = simulation.run()
    for result in found.values():
        assert all(end >= arrival for arrival, end in zip(result.arrival, result.end, strict=True))
        assert all(result.status)
    assert not simulation.open
    assert not simulation.waiting
    assert all(server.free == server.spec.workers for server in simulation.servers)
    assert not any(b.in_flight for s in simulation.services for b in s.pool.all_backends())


def test_what_is_no_chain_is_named() -> None:
    for wrong in (lambda: run_chain(None), lambda: with_policies(None)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="chain is None: use a CallChain"):
            wrong()
    with pytest.raises(ValueError, match=r"unknown engine \['sim'\]; known are sim, live"):
        run_chain(None, ["sim"])  # type: ignore[arg-type]
