from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from random import Random

import pytest
from scripted import TIMEOUT, Connection, Scripted, answers, ask, nobody_listens

from lbkit import Backend, Policy
from lbkit.core.balance import RoundRobin
from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.core.pool import Pool
from lbkit.core.state_change import StateChange
from lbkit.net import Proxy
from lbkit.net.origin.check import send_probe

FINE = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
QUICK = CheckRules(interval=0.3, timeout=0.3, fall=2, rise=2)


def probe(backend: Scripted | int, **fields) -> str:
    port = backend if isinstance(backend, int) else backend.port
    return asyncio.run(send_probe(Probe(**fields), Backend("b", host="127.0.0.1", port=port)))


def says(answer: bytes):
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(answer)

    return script


@pytest.mark.parametrize(
    ("answer", "fields", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", {}, ""),
        (b"HTTP/1.0 204\r\n\r\n", {}, ""),
        (b"HTTP/1.1 503 No\r\n\r\n", {}, "status 503"),
        (b"HTTP/1.1 200 OK\r\n\r\nall is well", {"body": "well"}, ""),
        (b"HTTP/1.1 200 OK\r\n\r\nall is ill", {"body": "well"}, "'well' is not in the answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000 + b"well", {"body": "well"}, "'well' is not in"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", {}, "answer is not HTTP"),
        (b"", {}, "connection closed without an answer"),
        (b"anything", {"kind": "tcp"}, ""),
    ],
)
def test_an_answer_passes_or_says_why_not(answer: bytes, fields: dict, fault: str) -> None:
    with Scripted(says(answer)) as backend:
        assert probe(backend, **fields).startswith(fault) if fault else probe(backend, **fields) == ""


def test_a_redis_that_cannot_be_reached_causes_no_wait() -> None:
    with nobody_listens() as port:
        assert probe(port) == "connection refused"
        assert probe(port, kind="tcp") == "connection refused"


def test_a_handshake_that_is_none() -> None:
    with Scripted(lambda connection: connection.send(b"hello")) as backend:
        assert probe(backend, kind="tls").startswith("no connection: ")


def test_checks_may_go_to_another_port() -> None:
    with Scripted(says(b"HTTP/1.1 200 OK\r\n\r\n")) as backend:
        assert probe(1, port=backend.port) == ""


@contextmanager
def checked(*ports: int, rules: CheckRules = QUICK):
    """A proxy that checks its backends, and the list of what changed."""
    changes: list[StateChange] = []
    health = HealthRules(checks=rules)
    backends = [Backend(f"b{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports, 1)]
    policy = Policy("round_robin", retries=0, health=health)
    pool = policy.pool(backends, lambda name: Random(name), on_change=changes.append)
    with Proxy(pool, policy=policy) as proxy:
        yield proxy, changes


def becomes(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + TIMEOUT
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def wait_for(changes: list[StateChange], after: str) -> StateChange:
    end = time.monotonic() + TIMEOUT
    while not (found := [change for change in changes if change.after == after]):
        assert time.monotonic() < end, changes
        time.sleep(0.01)
    return found[0]


def test_a_dead_backend_is_taken_out_without_any_traffic_and_comes_back() -> None:
    with Scripted(FINE) as one, Scripted(FINE) as two:
        port = two.port
        with checked(one.port, port) as (proxy, changes):
            two.close()
            down = wait_for(changes, "down")  # the check before may have met the end of the backend
            assert (down.backend, down.why) == ("b2", "connection refused")
            assert [b.name for b in proxy.pool.eligible] == ["b1"]
            with Scripted(FINE, port=port):
                wait_for(changes, "up")
                assert [b.name for b in proxy.pool.eligible] == ["b1", "b2"]


def test_a_backend_that_hangs_is_found_by_the_timeout() -> None:
    stuck = threading.Event()
    with Scripted(FINE) as one, Scripted(lambda connection: stuck.wait(TIMEOUT)) as two:
        with checked(one.port, two.port) as (proxy, changes):
            wait_for(changes, "down")
            assert {c.why for c in changes} == {"no answer in time"}
            assert [ask(proxy)[0] for _ in range(4)] == [200] * 4
        stuck.set()


def test_a_backend_that_joins_is_checked() -> None:
    with Scripted(FINE) as one, checked(one.port) as (proxy, changes), nobody_listens() as port:
        proxy.call(proxy.pool.add, Backend("b2", host="127.0.0.1", port=port))
        assert wait_for(changes, "down").backend == "b2"


def test_one_that_starts_down_gets_nothing_before_its_first_check() -> None:
    with Scripted(says(b"HTTP/1.1 503 Starting\r\n\r\n")) as backend:
        rules = CheckRules(interval=0.1, timeout=0.1, start="down")
        with checked(backend.port, rules=rules) as (proxy, _):
            assert ask(proxy)[0] == 503


def test_checks_go_on_after_an_algorithm_that_failed() -> None:
    class FailsOnce(RoundRobin):
        failures = 0

        def rebuild(self, backends) -> None:
            if len(backends) == 1 and not self.failures:
                self.failures += 1
                raise RuntimeError("one backend is too few")

    sick = threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (503 if sick.is_set() else 200))

    with Scripted(FINE) as one, Scripted(script) as two:
        health = HealthRules(checks=QUICK)
        backends = [Backend(f"b{s.port}", host="127.0.0.1", port=s.port) for s in (one, two)]
        pool = Pool(backends, FailsOnce(), health=health)
        with Proxy(pool, policy=Policy(health=health)) as proxy:
            sick.set()
            assert becomes(lambda: not backends[1].healthy)
            sick.clear()
            assert becomes(lambda: backends[1].healthy)
            assert len(proxy.faults.lines()) == 1
