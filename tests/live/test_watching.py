"""What is seen of a running session's requests, and requests sent by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isnan
from typing import Any

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Backend, Constant, Experiment, Pool, Sessions, Traffic, make_balancer, servers
from lbkit.core import Lease
from lbkit.history import Deed
from lbkit.live import LiveSession
from lbkit.live.watching import MOST_OPEN, SHOWN, SOON, Requests, Rows
from lbkit.net.messages import RequestHead, ResponseHead
from lbkit.net.peer import Peer
from lbkit.net.watching import Seen, SeenAttempt
from lbkit.recorded import Sighting
from lbkit.workload import client_name

EXPERIMENT = Experiment(servers(2, service=Constant(0.1)), Traffic(duration=3, clients=4))


class FakeWatch:
    """As of a proxy, with requests that a test makes up."""

    def __init__(self) -> None:
        self.share = 1.0
        self.requests = 0
        self.begun: list[Any] = []
        self.pool = Pool([Backend("s1"), Backend("s2")], make_balancer("round_robin"))

    def request(self, began: float, client: int = 0, demand: str = "0.5") -> Seen:
        data = f"GET / HTTP/1.1\r\nX-Lbkit-Demand: {demand}\r\n".encode()
        address = client_name(client)
        seen = Seen(RequestHead(b"GET", b"/", data, Peer(address), address), began)
        self.begun.append(seen)
        self.requests += 1
        return seen

    def attempt(self, seen: Seen, at: float, hedge: bool = False) -> SeenAttempt:
        lease: Lease = self.pool.acquire("", at)
        seen.attempts.append(one := SeenAttempt(lease, at, hedge))
        return one

    def let(self, share: float, room: int) -> None:
        self.share = share


def answered(one: SeenAttempt, at: float, start: float, work: float, ok: bool | None = True) -> None:
    fields = f"\r\nX-Lbkit-Start: {start}\r\nX-Lbkit-Service: {work}\r\n"
    one.head = ResponseHead(200, b"HTTP/1.1 200 OK" + fields.encode(), 0)
    one.lease.release(ok, at)
    one.ok, one.ended = ok, at


@pytest.fixture
def watch() -> FakeWatch:
    fake = FakeWatch()
    fake.begun = Popped(fake.begun)
    return fake


class Popped(list[Any]):
    def popleft(self) -> Any:
        return self.pop(0)


def seen_by(watch: Any, t0: float = 100.0) -> Callable[[float], list[Sighting]]:
    requests = Requests(EXPERIMENT, watch, t0)
    return lambda now: requests.news(now)


def test_a_request_is_news_once_if_its_answer_comes_soon(watch: FakeWatch) -> None:
    news = seen_by(watch)
    seen = watch.request(101.0, client=2)
    one = watch.attempt(seen, 101.0)
    assert news(1.1) == []  # it may be answered before it is shown
    answered(one, 101.13, start=101.01, work=0.1)
    seen.status, seen.ok, seen.ended = 200, True, 101.13
    (sighting,) = news(1.15)
    assert (sighting.client, sighting.outcome, sighting.size) == (2, "ok", 1.0)
    assert (sighting.sent, sighting.answered) == pytest.approx((1.0, 1.13))
    (attempt,) = sighting.attempts
    assert (attempt.start, attempt.end) == pytest.approx((1.01, 1.11))
    assert (attempt.server, attempt.kind, attempt.outcome) == (0, "first", "ok")
    assert news(1.2) == []


def test_a_request_that_takes_longer_is_shown_on_its_way_and_again_when_it_comes_further(
    watch: FakeWatch,
) -> None:
    news = seen_by(watch)
    seen = watch.request(101.0)
    first = watch.attempt(seen, 101.0)
    (sighting,) = news(1.1 + SOON)
    assert isnan(sighting.answered)
    assert (sighting.outcome, sighting.attempts[0].outcome) == ("unfinished", "unfinished")
    assert isnan(sighting.attempts[0].start)  # the server has not said
    assert news(1.4) == []
    first.lease.release(False, 101.5)
    first.ok, first.ended = False, 101.5
    watch.attempt(seen, 101.5)
    (sighting,) = news(1.6)
    assert [(a.kind, a.outcome) for a in sighting.attempts] == [("first", "failed"), ("retry", "unfinished")]
    seen.left, seen.ended = True, 101.7
    assert [one.outcome for one in news(1.8)] == ["left"]


def test_a_cancelled_copy_is_no_failure(watch: FakeWatch) -> None:
    news = seen_by(watch)
    seen = watch.request(101.0)
    first = watch.attempt(seen, 101.0)
    copy = watch.attempt(seen, 101.1, hedge=True)
    answered(copy, 101.3, start=101.1, work=0.1)
    first.lease.release(None, 101.3)
    seen.status, seen.ended = 200, 101.3
    (sighting,) = news(1.4)
    assert [(a.kind, a.outcome) for a in sighting.attempts] == [("first", "cancelled"), ("hedge", "ok")]
    assert sighting.attempts[0].end == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("status", "attempts", "ok", "outcome"),
    [
        (429, 0, None, "denied"),
        (503, 0, None, "refused"),
        (502, 1, False, "failed"),
        (504, 1, False, "timeout"),
        (200, 0, None, "ok"),  # from a cache
        (200, 1, False, "failed"),  # cut off
        (0, 1, False, "failed"),
    ],
)
def test_how_a_request_ended(
    watch: FakeWatch, status: int, attempts: int, ok: bool | None, outcome: str
) -> None:
    news = seen_by(watch)
    seen = watch.request(101.0, demand="nonsense")
    for _ in range(attempts):
        watch.attempt(seen, 101.0).lease.release(ok, 101.1)
    seen.status, seen.ok, seen.ended = status, ok, 101.1
    (sighting,) = news(1.2)
    assert (sighting.outcome, sighting.size) == (outcome, 1.0)


def test_of_more_requests_than_can_be_shown_a_share_is_drawn(watch: FakeWatch) -> None:
    requests = Requests(EXPERIMENT, watch, 0.0)  # type: ignore[arg-type] # a fake
    requests.news(0.0)
    watch.requests = int(10 * SHOWN)
    requests.news(1.0)
    assert requests.rate == 10 * SHOWN
    assert watch.share == pytest.approx(0.1)
    watch.requests += 5
    requests.news(2.5)
    assert watch.share == 1.0


def test_what_is_followed_is_bounded(watch: FakeWatch) -> None:
    requests = Requests(EXPERIMENT, watch, 0.0)  # type: ignore[arg-type] # a fake
    for _ in range(MOST_OPEN + 100):
        watch.request(0.0)
    assert len(requests.news(1.0)) == MOST_OPEN
    assert len(requests._open) == len(requests._told) == MOST_OPEN


def test_of_a_real_program_the_answered_requests_are_seen() -> None:
    rows: list[Any] = [(0.0, 0.0, 0.1, "s1", 0, 0, 200, 1, 0.1)]
    requests = Rows(EXPERIMENT, lambda n: rows[n:], first=1)
    assert requests.news(0.5) == []
    rows += [(1.0, 1.05, 1.2, "s2", 3, 0, 200, 1, 0.1), (1.1, None, 1.2, None, 1, 0, 503, 1, 0.0)]
    one, other = requests.news(1.5)
    assert one.attempts[0][1:] == (1, 1.0, 1.05, pytest.approx(1.15), "first", "ok")
    assert (one.number, one.client, one.size) == (1, 3, pytest.approx(1.0))
    assert (other.attempts, other.outcome) == ((), "refused")
    assert requests.notes


@pytest.mark.live
def test_a_watched_session_is_seen_and_requests_by_hand_are_among_its_rows() -> None:
    experiment = EXPERIMENT.but(duration=1.5).at_load(0.3)
    with LiveSession(experiment) as session:
        watcher = session.watch()
        for wrong in ({"client": 4}, {"client": 0, "requests": 3000}, {"client": 0, "rate": 0}):
            with pytest.raises(ValueError, match=r"client|requests|rate"):
                session.send(**wrong)
        session.send(3, requests=6, rate=50)
        found: dict[int, Sighting] = {}
        while session.running:
            found |= {one.number: one for one in watcher.news(session.elapsed)}
            time.sleep(0.05)
        found |= {one.number: one for one in watcher.news(session.elapsed)}
        result = session.result()
        with pytest.raises(ValueError, match="over"):
            session.send(0)
    assert len(result) == len(found) == watcher._watch.requests  # type: ignore[attr-defined]
    by_client = [sum(one.client == c for one in found.values()) for c in range(4)]
    assert by_client == [list(result.client).count(c) for c in range(4)]
    assert by_client[3] >= 6
    assert {one.outcome for one in found.values()} == {"ok"}
    for one in found.values():
        (attempt,) = one.attempts
        assert one.sent <= attempt.at <= attempt.start <= attempt.end <= one.answered
    assert [change.action for change in result.history] == [Deed.SEND]


@pytest.mark.live
def test_sessions_of_users_take_no_requests_by_hand() -> None:
    arrivals = Sessions(rate=5)
    with (
        LiveSession(Experiment(servers(1), Traffic(arrivals, duration=1))) as session,
        pytest.raises(ValueError, match="sessions"),
    ):
        session.send(0)
