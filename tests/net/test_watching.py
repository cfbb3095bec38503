"""What a proxy writes down of its requests while somebody watches."""

from __future__ import annotations

import random
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import GET, TIMEOUT, Client, Connection, answers, ask, proxied

from lbkit import Hedge, Policy, Retry
from lbkit.net import Proxy
from lbkit.net.watching import Seen, Watch

OK = b"HTTP/1.1 200 OK\r\nX-Work: 7\r\nContent-Length: 2\r\n\r\nok"


def watched(proxy: Proxy) -> Watch:
    watch: Watch = proxy.call(proxy.watch)
    return watch


def dies(connection: Connection) -> None:
    connection.head()


class Waits:
    """Answers when told."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        connection.head()
        self.asked.set()
        self.go.wait(TIMEOUT)


def names(seen: Seen) -> list[tuple[str, bool, bool | None]]:
    return [(one.lease.backend.name, one.hedge, one.ok) for one in seen.attempts]


def test_a_request_is_written_down_with_its_attempt_and_its_answer() -> None:
    with proxied(answers(OK)) as proxy:
        watch = watched(proxy)
        assert ask(proxy)[0] == 200
        (seen,) = proxy.call(lambda: list(watch.begun))
        (attempt,) = seen.attempts
        assert (seen.status, seen.left, attempt.ok, attempt.hedge) == (200, False, True, False)
        assert seen.began <= attempt.at <= attempt.ended <= seen.ended
        assert attempt.head.field(b"x-work") == b"7"
        assert watch.requests == 1


def test_a_retry_is_another_attempt() -> None:
    with proxied(dies, answers(OK), policy=Policy("round_robin")) as proxy:
        watch = watched(proxy)
        assert ask(proxy)[0] == 200
        (seen,) = proxy.call(lambda: list(watch.begun))
        assert [ok for _, _, ok in names(seen)] == [False, True]
        assert seen.attempts[0].lease.backend is not seen.attempts[1].lease.backend


def test_a_hedge_is_an_attempt_beside_the_first() -> None:
    slow = Waits()
    with proxied(slow, answers(OK), policy=Policy("round_robin", retry=Retry(hedge=Hedge(0.05)))) as proxy:
        watch = watched(proxy)
        assert ask(proxy)[0] == 200
        slow.go.set()
        (seen,) = proxy.call(lambda: list(watch.begun))
        assert [hedge for _, hedge, _ in names(seen)] == [False, True]
        assert [one.lease.released for one in seen.attempts] == [True, True]
        assert seen.attempts[1].head is not None


def test_a_client_that_leaves_is_written_down_as_gone() -> None:
    slow = Waits()
    with proxied(slow) as proxy:
        watch = watched(proxy)
        with Client(proxy) as client:
            client.send(GET)
            assert slow.asked.wait(TIMEOUT)
            (seen,) = proxy.call(lambda: list(watch.begun))
            assert seen.ended is None
        slow.go.set()
        end = time.monotonic() + TIMEOUT
        while proxy.call(lambda: seen.ended) is None and time.monotonic() < end:
            time.sleep(0.01)
        assert (seen.left, seen.status) == (True, 0)


def test_a_request_that_the_balancer_answers_itself_has_no_attempt() -> None:
    with proxied() as proxy:
        watch = watched(proxy)
        assert ask(proxy)[0] == 503
        (seen,) = proxy.call(lambda: list(watch.begun))
        assert (seen.status, seen.attempts) == (503, [])


def test_the_others_and_all_of_a_proxy_that_nobody_watches_are_plain_exchanges() -> None:
    with proxied(answers(OK), answers(OK)) as proxy:
        plain = proxy.listener.handle
        watch = watched(proxy)
        watch.let(0.0, room=10)
        assert ask(proxy)[0] == 200
        assert (watch.requests, len(watch.begun)) == (1, 0)
        watch.end()
        assert proxy.listener.handle is plain
        watch.end()
        assert ask(proxy)[0] == 200
        assert watch.requests == 1


def test_the_last_to_watch_is_the_one_that_sees() -> None:
    with proxied(answers(OK)) as proxy:
        plain = proxy.listener.handle
        first, second = watched(proxy), watched(proxy)
        first.end()
        assert ask(proxy)[0] == 200
        assert (len(first.begun), len(second.begun)) == (0, 1)
        second.end()
        assert proxy.listener.handle is plain


class Listens:
    """As a listener, as far as a watch is concerned."""

    def __init__(self) -> None:
        self.handle: Any = lambda *request: None


def test_the_share_is_met_by_chance_and_all_requests_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.net.watching.WatchedExchange", lambda *request: SimpleNamespace(seen=None))
    made: Any = Listens()
    watch: Any = Watch(None, made)  # type: ignore[arg-type] # nothing is sent
    watch._chance = random.Random(1).random
    for share, requests, least, most in ((1.0, 100, 100, 100), (0.1, 20_000, 1800, 2200), (0.0, 100, 0, 0)):
        watch.let(share, room=10_000)
        before = watch.requests
        watch.begun = []
        for _ in range(requests):
            watch(None, None, 0.0)
        assert watch.requests - before == requests
        assert least <= len(watch.begun) <= most
    watch.let(1.0, room=3)
    watch.begun = []
    for _ in range(10):
        watch(None, None, 0.0)
    assert len(watch.begun) == 3
