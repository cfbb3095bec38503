"""Checks that are functions of the user's own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from scripted import TIMEOUT, Scripted, answers, ask

from lbkit import Backend, Event, Experiment, Policy, run, servers
from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.core.state_change import StateChange
from lbkit.experiment import ExperimentError
from lbkit.net import Proxy
from lbkit.net.origin.own_check import OwnCheck

FINE = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
BACKEND = Backend("b", host="127.0.0.1", port=1)


async def later(value: object) -> object:
    await asyncio.sleep(0)
    return value


@pytest.mark.parametrize(
    ("value", "fault"), [(True, ""), (False, "the check says no"), ("disk is full", "disk is full"), ("", "")]
)
def test_a_function_says_whether_a_backend_passes(value: object, fault: str) -> None:
    async def coroutine(backend: Backend) -> object:
        return await later(value)

    for function in (lambda backend: value, coroutine, lambda backend: later(value)):
        assert asyncio.run(OwnCheck(function).ask(BACKEND)) == fault


@pytest.mark.parametrize("value", [None, 1, 0, [], b"yes"])
def test_any_other_value_is_a_mistake_that_is_named(value: object) -> None:
    def healthy(backend: Backend) -> object:
        return value

    with pytest.raises(TypeError, match=r"healthy returned .*: return True, or False or a text"):
        asyncio.run(OwnCheck(healthy).ask(BACKEND))


@contextmanager
def checked(function: object, *ports: int) -> Iterator[tuple[Proxy, list[StateChange]]]:
    rules = CheckRules(interval=0.3, timeout=0.3, fall=2, rise=1, probe=Probe("call", call=function))  # type: ignore[arg-type]
    changes: list[StateChange] = []
    policy = Policy("round_robin", retries=0, health=HealthRules(checks=rules))
    backends = [Backend(f"b{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports, 1)]
    pool = policy.pool(backends, lambda name: Random(name), on_change=changes.append)
    with Proxy(pool, policy=policy) as proxy:
        yield proxy, changes


def wait_for(changes: list[StateChange], after: str) -> StateChange:
    end = time.monotonic() + TIMEOUT
    while not (found := [change for change in changes if change.after == after]):
        assert time.monotonic() < end, changes
        time.sleep(0.01)
    return found[0]


def test_a_proxy_goes_by_it() -> None:
    bad: set[str] = set()

    def healthy(backend: Backend) -> bool | str:
        return f"{backend.name} is bad" if backend.name in bad else True

    with (
        Scripted(FINE) as one,
        Scripted(FINE) as two,
        checked(healthy, one.port, two.port) as (proxy, changes),
    ):
        bad.add("b2")
        assert wait_for(changes, "down")[1:] == ("b2", "check", "failing", "down", "b2 is bad")
        assert [b.name for b in proxy.pool.eligible] == ["b1"]
        assert ask(proxy)[0] == 200
        bad.clear()
        wait_for(changes, "up")


@pytest.mark.parametrize("coroutine", [True, False])
def test_what_it_raises_is_a_failed_check_and_a_fault(coroutine: bool, capsys: pytest.CaptureFixture) -> None:
    def healthy(backend: Backend) -> bool:
        return 1 / 0 > 0

    async def healthy_later(backend: Backend) -> bool:
        return healthy(backend)

    with (
        Scripted(FINE) as one,
        checked(healthy_later if coroutine else healthy, one.port) as (proxy, changes),
    ):
        assert wait_for(changes, "down").why == "ZeroDivisionError: division by zero"
        assert "a health check failed: ZeroDivisionError: division by zero" in "".join(proxy.faults.lines())
    assert capsys.readouterr().err.count("Traceback") == 1  # not for each check


@pytest.mark.parametrize("coroutine", [True, False])
def test_one_that_hangs_fails_in_time_and_takes_one_thread_only(coroutine: bool) -> None:
    """Other backends are checked meanwhile, and the thread is not waited for at the end."""
    stuck = threading.Event()
    calls: list[str] = []

    def healthy(backend: Backend) -> bool:
        calls.append(backend.name)
        return backend.name == "b1" or stuck.wait(TIMEOUT)

    async def healthy_later(backend: Backend) -> bool:
        calls.append(backend.name)
        if backend.name != "b1":
            await asyncio.sleep(TIMEOUT)
        return True

    with Scripted(FINE) as one, Scripted(FINE) as two:
        function = healthy_later if coroutine else healthy
        with checked(function, one.port, two.port) as (proxy, changes):
            why = wait_for(changes, "down")
            assert why.backend == "b2"
            assert [b.name for b in proxy.pool.eligible] == ["b1"]
            end = time.monotonic() + TIMEOUT
            while calls.count("b1") < 3 and time.monotonic() < end:
                time.sleep(0.01)
            assert calls.count("b1") >= 3
            if coroutine:
                assert why.why == "no answer in time"
            else:
                assert why.why == "the check before has not ended"
                assert calls.count("b2") == 1
        stuck.set()


def test_the_simulator_does_not_call_it() -> None:
    def healthy(backend: Backend) -> bool:
        raise AssertionError("there is nothing to check")

    checks = CheckRules(interval=1, timeout=0.5, probe=Probe("call", call=healthy))
    events = [Event(3, "hang", "s1"), Event(8, "recover", "s1")]
    policy = Policy("round_robin", health=HealthRules(checks=checks))
    result = run(Experiment(servers(2), policy=policy, events=events).at_load(0.3).but(duration=15))
    assert [change.after for change in result.changes] == ["failing", "down", "recovering", "up"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "call"}, "call is None: use a function of a backend, with kind 'call' only"),
        ({"call": print}, "call is .*: use a function of a backend, with kind 'call' only"),
        ({"service": "shop"}, "service is 'shop': it is for kind 'grpc' only"),
    ],
)
def test_what_does_not_belong_together_is_refused(fields: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Probe(**fields)


def test_a_file_cannot_have_a_function() -> None:
    def healthy(backend: Backend) -> bool:
        return True

    checks = CheckRules(probe=Probe("call", call=healthy))
    experiment = Experiment(servers(1), policy=Policy(health=HealthRules(checks=checks)))
    data = experiment.to_dict()
    assert data["policy"]["health"]["checks"]["probe"]["call"] == "the function healthy"
    with pytest.raises(ExperimentError, match="call is 'the function healthy': a file"):
        Experiment.from_dict(data)
