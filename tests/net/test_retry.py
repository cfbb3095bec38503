"""The rules of Policy.retry on real sockets, before backends that do exactly what a script says."""

from __future__ import annotations

import random
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_balancers import Told
from scripted import GET, TIMEOUT, Client, Connection, Script, Scripted, answers, ask, echo, field, proxied

from lbkit import AttemptTimeouts, Backend, Backoff, Fallback, Hedge, Policy, Retry, RetryBudgetRules, Sticky
from lbkit.edge import Admission
from lbkit.net import Proxy, deadline
from lbkit.net.messages import Reject

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


class Silent:
    """Takes requests and never answers; knows what it got, and when the proxy hung up."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.asked, self.left = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        self.heads.append(connection.head())
        self.asked.set()
        try:
            connection.head()
        finally:
            self.left.set()


class Dies(Silent):
    """Closes instead of an answer, when told."""

    def __init__(self) -> None:
        super().__init__()
        self.die = threading.Event()

    def __call__(self, connection: Connection) -> None:
        self.heads.append(connection.head())
        self.asked.set()
        self.die.wait(TIMEOUT)


@contextmanager
def guarded(*scripts: Script, retries: int = 1, admission: Any = None, **rules: Any) -> Iterator[Proxy]:
    policy = Policy(retries=retries, retry=Retry(**rules))
    with proxied(*scripts, policy=policy, admission=admission) as proxy:
        yield proxy


def counts(proxy: Proxy) -> dict[str, int]:
    return proxy.call(lambda: dict(proxy.service.attempts.counts))


# -- timeouts of one attempt -----------------------------------------------------------------------


@pytest.mark.parametrize("timeouts", [AttemptTimeouts(first_byte=0.5), AttemptTimeouts(total=0.5)])
def test_a_silent_backend_costs_a_get_the_timeout_and_a_post_is_not_sent_twice(
    timeouts: AttemptTimeouts,
) -> None:
    silent = Silent()
    with guarded(silent, answers(OK), timeouts=timeouts) as proxy:
        assert ask(proxy)[0] == 200
        assert silent.left.wait(TIMEOUT)
        assert counts(proxy)["attempt_timeouts"] == counts(proxy)["retries"] == 1
    first, second = Silent(), Silent()
    with guarded(first, second, timeouts=timeouts) as proxy:
        assert ask(proxy, POST)[0] == 504
        assert (len(first.heads), len(second.heads)) == (1, 0)


def test_the_total_timeout_cuts_an_answer_that_does_not_end() -> None:
    def stalls(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.head()

    with guarded(stalls, timeouts=AttemptTimeouts(first_byte=5, total=0.2)) as proxy, Client(proxy) as client:
        client.send(GET)
        with pytest.raises(ConnectionError):
            client.answer()


def test_the_first_byte_is_not_waited_for_while_the_client_sends() -> None:
    with guarded(echo, timeouts=AttemptTimeouts(first_byte=0.5)) as proxy, Client(proxy) as client:
        client.send(PUT[:-5])
        time.sleep(0.8)
        client.send(PUT[-5:])
        assert client.answer()[0] == 200


def test_the_connect_timeout_is_the_policy_s() -> None:
    with guarded(echo, timeouts=AttemptTimeouts(connect=0.25)) as proxy:
        assert proxy.connections.timeouts.connect == 0.25
        assert proxy.config.timeouts.connect == 5.0


# -- which requests are repeated -------------------------------------------------------------------


def test_a_status_of_the_rules_is_a_failure_and_the_last_one_is_passed_on() -> None:
    with guarded(answers(BUSY), answers(OK), statuses=[503]) as proxy:
        assert ask(proxy)[0] == 200
    with guarded(answers(BUSY), answers(BUSY), statuses=[503]) as proxy:
        status, _, body = ask(proxy)
        assert (status, body) == (503, b"busy")
    with guarded(answers(BUSY), answers(OK), statuses=[503]) as proxy:
        assert ask(proxy, POST)[0] == 503
    with guarded(answers(BUSY), answers(OK)) as proxy:
        assert ask(proxy)[0] == 503


def test_a_small_body_is_kept_by_choice_to_be_sent_again() -> None:
    def closes(connection: Connection) -> None:
        connection.body(connection.head())

    with guarded(closes, echo) as proxy:
        status, _, body = ask(proxy, PUT)
        assert (status, body[-5:]) == (200, b"hello")
    for buffer in (0, 4):
        with guarded(closes, echo, buffer=buffer) as proxy:
            assert ask(proxy, PUT)[0] == 502
    with guarded(closes, echo, buffer=5) as proxy:
        assert ask(proxy, PUT)[0] == 200


def test_without_budget_there_is_no_retry() -> None:
    with guarded(answers(BUSY), answers(OK), statuses=[503], budget=RetryBudgetRules(0.5, 60, 0)) as proxy:
        with Client(proxy) as client:
            statuses = []
            for _ in range(8):  # turns: every other one goes to the busy backend at first
                client.send(GET)
                statuses.append(client.answer()[0])
        assert statuses.count(503) > 0
        assert counts(proxy)["retries"] <= 4
        assert counts(proxy)["over_budget"] == statuses.count(503)


def test_a_retry_waits_for_its_backoff() -> None:
    pause = Backoff(base=0.2, cap=0.2, jitter="none")
    with guarded(answers(BUSY), answers(OK), statuses=[503], backoff=pause) as proxy:
        before = time.monotonic()
        assert ask(proxy)[0] == 200
        assert time.monotonic() - before >= 0.2


# -- hedges ----------------------------------------------------------------------------------------


def test_the_first_answer_counts_and_the_loser_is_cancelled() -> None:
    silent = Silent()
    with guarded(silent, answers(OK), hedge=Hedge(0.05)) as proxy:
        status, _, body = ask(proxy)
        assert (status, body) == (200, b"ok")
        assert silent.left.wait(TIMEOUT)
        assert counts(proxy)["hedges"] == counts(proxy)["hedges_won"] == 1
        assert len(silent.heads) == 1


def test_a_hedge_that_is_late_is_cancelled() -> None:
    hedge = Silent()

    def answers_when_the_hedge_is_sent(connection: Connection) -> None:
        connection.head()
        assert hedge.asked.wait(TIMEOUT)
        connection.send(OK)

    with guarded(answers_when_the_hedge_is_sent, hedge, hedge=Hedge(0.05)) as proxy:
        assert ask(proxy)[0] == 200
        assert hedge.left.wait(TIMEOUT)
        assert counts(proxy)["hedges_won"] == 0


@pytest.mark.parametrize("request_", [POST, PUT])
def test_what_changes_something_is_never_hedged(request_: bytes) -> None:
    def slow(connection: Connection) -> None:
        connection.body(connection.head())
        time.sleep(0.2)
        connection.send(OK)

    other = Silent()
    with guarded(slow, other, hedge=Hedge(0.02)) as proxy:
        assert ask(proxy, request_)[0] == 200
        assert other.heads == []


def test_a_hedge_replaces_a_first_attempt_that_fails() -> None:
    first = Dies()

    def answers_after(connection: Connection) -> None:
        connection.head()
        first.die.set()
        time.sleep(0.1)
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        time.sleep(0.05)
        connection.send(b"0\r\n\r\n")

    with guarded(first, answers_after, retries=0, hedge=Hedge(0.05)) as proxy:
        assert ask(proxy)[0] == 200
        assert counts(proxy)["retries"] == 0


def test_the_body_of_a_hedge_that_won_may_take_longer_than_its_first_byte() -> None:
    def streams(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(0.3)
            connection.send(b"x")

    with guarded(Silent(), streams, timeouts=AttemptTimeouts(first_byte=1.0), hedge=Hedge(0.05)) as proxy:
        assert ask(proxy)[2] == b"xxxx"
        assert counts(proxy)["hedges_won"] == 1


def test_when_all_copies_fail_the_last_failure_is_the_answer() -> None:
    first, second = Dies(), Dies()
    with guarded(first, second, retries=0, hedge=Hedge(0.05)) as proxy, Client(proxy) as client:
        client.send(GET)
        assert second.asked.wait(TIMEOUT)
        second.die.set()
        first.die.set()
        assert client.answer()[0] == 502


def test_a_request_of_a_session_is_not_hedged() -> None:
    def slow(connection: Connection) -> None:
        while connection.head():
            time.sleep(0.4)
            connection.send(OK)

    policy = Policy(retry=Retry(hedge=Hedge(0.02)), sticky=Sticky())
    with Scripted(slow) as one, Scripted(slow) as two, ExitStack() as stack:
        backends = [Backend(f"s{s.port}", host="127.0.0.1", port=s.port) for s in (one, two)]
        proxy = stack.enter_context(Proxy(policy.pool(backends, random.Random), policy=policy))
        status, head, _ = ask(proxy)
        assert (status, counts(proxy)["hedges"]) == (200, 1)
        (cookie,) = field(head, "Set-Cookie")
        again = f"GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie.partition(';')[0]}\r\n\r\n"
        assert ask(proxy, again.encode())[0] == 200
        assert counts(proxy)["hedges"] == 1


def test_a_client_that_leaves_ends_all_copies() -> None:
    first, second = Silent(), Silent()
    with guarded(first, second, hedge=Hedge(0.05)) as proxy:
        with Client(proxy) as client:
            client.send(GET)
            assert second.asked.wait(TIMEOUT)
        assert first.left.wait(TIMEOUT)
        assert second.left.wait(TIMEOUT)


# -- deadlines -------------------------------------------------------------------------------------


def asking(value: str, name: str = "X-Request-Timeout") -> bytes:
    return f"GET / HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n".encode()


def test_the_remaining_time_goes_to_the_backend() -> None:
    with guarded(echo, deadline=5.0) as proxy:
        for request, most in ((GET, 5.0), (asking("2.5"), 2.5), (asking("60"), 5.0)):
            (left,) = field(ask(proxy, request)[2], "X-Request-Timeout")
            assert most - 1 < float(left) <= most
        seen = ask(proxy, asking("2500m", "grpc-timeout"))[2]
        assert field(seen, "grpc-timeout")[0].endswith("m")
        assert 1.5 < float(field(seen, "X-Request-Timeout")[0]) <= 2.5
    with guarded(echo) as proxy:  # without a deadline of the policy the field is the backend's affair
        assert field(ask(proxy, asking("soon"))[2], "X-Request-Timeout") == ["soon"]


def test_a_retry_has_what_is_left() -> None:
    silent = Silent()
    with guarded(silent, echo, deadline=5.0, timeouts=AttemptTimeouts(first_byte=0.5)) as proxy:
        (left,) = field(ask(proxy)[2], "X-Request-Timeout")
        assert float(left) <= 4.5


def test_a_deadline_that_passes_is_504_and_the_backend_is_not_blamed() -> None:
    silent, told = Silent(), Told()
    with guarded(silent, deadline=60.0) as proxy:
        proxy.pool.switch(told)
        assert ask(proxy, asking("0.1"))[0] == 504
        assert silent.left.wait(TIMEOUT)
        assert counts(proxy)["deadlines"] == 1
    assert [ok for _, _, ok, _ in told.outcomes] == [None]


def test_a_request_that_is_over_its_deadline_is_not_sent() -> None:
    silent = Silent()
    with guarded(silent, deadline=60.0) as proxy:
        assert ask(proxy, asking("0"))[0] == 504
    admission = Admission(rate=0.001, burst=1, max_queue=10, timeout=60)
    with guarded(echo, deadline=60.0, admission=admission) as proxy:
        assert ask(proxy)[0] == 200
        assert ask(proxy, asking("0.1"))[0] == 504  # at the gate
        assert counts(proxy)["deadlines"] == 1
    assert silent.heads == []


@pytest.mark.parametrize(
    "request_", [asking("soon"), asking("-1"), asking("1e3"), asking("5", "grpc-timeout")]
)
def test_a_deadline_that_is_no_time_is_400(request_: bytes) -> None:
    with guarded(echo, deadline=5.0) as proxy:
        assert ask(proxy, request_)[0] == 400


@given(st.floats(0, 1e5))
def test_a_stamped_head_asks_for_no_more_than_is_left(left: float) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Timeout: 7\r\nGRPC-Timeout: 9S\r\nA: b\r\n"
    assert deadline.client_timeout(head) == 7
    stamped = deadline.stamped(head, left)
    assert left - 0.0011 <= deadline.client_timeout(stamped) <= left + 1e-9
    assert b"A: b\r\n" in stamped
    assert stamped.lower().count(b"timeout") == 2


def test_a_field_within_another_s_value_is_no_deadline() -> None:
    assert deadline.client_timeout(b"GET / HTTP/1.1\r\nA: X-Request-Timeout: 1\r\n") == float("inf")
    with pytest.raises(Reject):
        deadline.client_timeout(b"GET / HTTP/1.1\r\nX-Request-Timeout: \r\n")


# -- the answer at last ----------------------------------------------------------------------------


def test_a_fallback_answers_get_and_head_only() -> None:
    def closes(connection: Connection) -> None:
        connection.head()

    fallback = Fallback('{"items": []}', content_type="application/json")
    with guarded(closes, fallback=fallback) as proxy:
        status, head, body = ask(proxy)
        assert (status, body) == (200, b'{"items": []}')
        assert field(head, "Content-Type") == ["application/json"]
        assert ask(proxy, GET.replace(b"GET", b"HEAD"))[0] == 200
        assert ask(proxy, POST)[0] == 502
        assert counts(proxy)["fallbacks"] == 2
    with guarded(answers(BUSY), fallback=fallback) as proxy:
        assert ask(proxy)[0] == 503  # the backend's own answer


# -- the file --------------------------------------------------------------------------------------


def test_the_example_names_every_rule() -> None:
    text = resources.files("lbkit.net").joinpath("example.toml").read_text("utf-8")
    section = text[text.index("# [policy.retry]") : text.index("# [policy.health]")]
    lines = [line.removeprefix("# ") for line in section.splitlines()]
    given = tomllib.loads("\n".join(lines))["policy"]["retry"]
    parts = {"backoff": Backoff, "budget": RetryBudgetRules, "hedge": Hedge, "timeouts": AttemptTimeouts}
    parts["fallback"] = Fallback
    assert given.keys() == {f.name for f in fields(Retry)}
    for name, cls in parts.items():
        assert given[name].keys() == {f.name for f in fields(cls)}
        assert name == "timeouts" or cls(**given[name]) == (cls(0.1) if cls is Hedge else cls())


def test_no_retry_or_hedge_is_counted_where_no_other_backend_is_left() -> None:
    def never(connection: Connection) -> None:
        connection.head()
        connection.head()

    rules = Retry(
        timeouts=AttemptTimeouts(total=0.3), hedge=Hedge(0.1), budget=RetryBudgetRules(0.0, 10.0, 0.1)
    )
    with proxied(never, policy=Policy(retries=3, retry=rules)) as proxy:
        assert ask(proxy)[0] == 504
        counts = proxy.service.attempts.counts
        assert (counts["retries"], counts["hedges"], counts["over_budget"]) == (0, 0, 0)
