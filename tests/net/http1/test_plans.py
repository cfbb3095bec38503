"""A plan takes the place of checks: it must never apply to what was not checked, nor change a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from httptools import HttpRequestParser, HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st
from net.test_fuzz import ANSWER_STREAMS, MAX_FIELDS, STREAMS, connection, heads, law, mutated, peer, pieces

from lbkit.net.http1 import plans
from lbkit.net.http1.head import HeadReader, read_request, read_response
from lbkit.net.http1.plans import MAX_HEAD, RequestPlan, ResponsePlan
from lbkit.net.messages import Reject, RequestHead, ResponseHead
from lbkit.net.peer import Peer

LINE = b"GET /a?b=c HTTP/1.1"
FIELDS = b"\r\nHost: a.example\r\nCookie: sid=1\r\nConnection: keep-alive\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
HEAD = LINE + FIELDS
DATED = (
    b"HTTP/1.1 200 OK\r\nDate: Fri, 27 Nov 2026 03:30:00 GMT\r\nContent-Length: 2\r\n"
    b"Connection: keep-alive\r\nX-Lbkit-Start: 1\r\n\r\n"
)


def checked(head: bytes, who: Peer, plan: RequestPlan | None = None) -> RequestHead:
    """Read a head as a connection does that does not know it."""
    keep = HeadReader(HttpRequestParser, 400).check(head)
    return read_request(head, who, MAX_FIELDS, plan=plan if keep else None)


def parts(request: RequestHead | None) -> object:
    names = [
        "client",
        "data",
        "http11",
        "length",
        "method",
        "original",
        "peer",
        "target",
        "trailers",
        "upgrade",
    ]
    return request and [getattr(request, name) for name in names]


def learned(head: bytes = HEAD, trusted: bool = False) -> tuple[RequestPlan, Peer]:
    plan, who = RequestPlan(), peer(trusted)
    checked(head, who, plan)
    return plan, who


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "line", [LINE, b"POST / HTTP/1.1", b"OPTIONS /%41 HTTP/1.1", b"HEAD /" + b"x" * 500 + b" HTTP/1.1"]
)
def test_the_same_fields_are_read_with_another_request_line(line: bytes, trusted: bool) -> None:
    plan, who = learned(trusted=trusted)
    found = plan.read(b"#" + line + FIELDS + b"more", 1, who)
    assert found
    assert parts(found) == parts(checked(line + FIELDS, who))
    assert plan.end == 1 + len(line + FIELDS)


def test_fields_that_differ_in_one_byte_are_not_read() -> None:
    plan, who = learned()
    for at in range(len(LINE), len(HEAD)):
        for byte in (b"\0", b" ", b"\t", b"\r", b"\n", b":", b"0", b"a", HEAD[at : at + 1].swapcase()):
            for cut in (0, 1):
                other = HEAD[:at] + byte + HEAD[at + cut :]
                if not other.startswith(HEAD):
                    assert plan.read(other, 0, who) is None, other
        assert plan.read(HEAD[:at] + HEAD[at + 1 :], 0, who) is None
        assert plan.read(HEAD[:at], 0, who) is None
    assert plan.read(HEAD, 0, who)


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /a HTTP/1.0", b"GET /a HTTP/1.2", b"GET /a HTTP/11", b"GET  /a HTTP/1.1"),
        *(
            b"GET /a  HTTP/1.1",
            b"GET /a HTTP/1.1 ",
            b" GET /a HTTP/1.1",
            b"GET\t/a HTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"GET /a",
        ),
        *(b"get /a HTTP/1.1", b"CONNECT a:443 HTTP/1.1", b"FROB / HTTP/1.1", b"TRACE / HTTP/1.1", b""),
        *(b"GET /#a HTTP/1.1", b"GET /\xe4 HTTP/1.1", b"GET /\0 HTTP/1.1", b"GET /\x7f HTTP/1.1"),
        *(b"GET http://b/ HTTP/1.1", b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET a HTTP/1.1"),
        *(b"GET /\n HTTP/1.1", b"GET /a HTTP/1.1\n", b"GET /a\rHTTP/1.1", b"\nGET /a HTTP/1.1"),
        *(b"GET /\r\nX: y HTTP/1.1", b"PRI * HTTP/2.0"),
    ],
)
def test_another_kind_of_request_line_is_checked_anew(line: bytes) -> None:
    plan, who = learned()
    assert plan.read(line + FIELDS, 0, who) is None


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        # With GET this would be a WebSocket.
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"x" * MAX_HEAD + b"\r\n\r\n",
    ],
    ids=["HTTP/1.0", "close", "absolute", "upgrade", "too long"],
)
def test_heads_that_are_not_learned(head: bytes) -> None:
    plan, who = learned(head)
    assert plan.read(b"GET /" + head[head.find(b" HTTP/1") :].replace(b"/1.0", b"/1.1"), 0, who) is None


def test_a_plan_knows_the_last_head_only() -> None:
    plan, who = learned()
    other = HEAD.replace(b"sid=1", b"sid=2")
    checked(other, who, plan)
    assert plan.read(HEAD, 0, who) is None
    assert parts(plan.read(other, 0, who)) == parts(checked(other, who))


def test_a_new_plan_knows_nothing() -> None:
    for data in (b"", b"\r\n", b"\0\0", HEAD):
        assert RequestPlan().read(data, 0, peer()) is None
        assert ResponsePlan().read(data) is None


# -- answers ---------------------------------------------------------------------------------------------


def answered(head: bytes, plan: ResponsePlan | None = None) -> tuple[ResponseHead, bool]:
    answer, keep = read_response(head, False), HeadReader(HttpResponseParser, 502).check(head)
    if plan:
        plan.learn(head, answer, keep)
    return answer, keep


def answer_parts(answer: ResponseHead | None) -> object:
    names = ["data", "dated", "internal", "length", "own", "status", "trailers"]
    return answer and [getattr(answer, name) for name in names]


def test_the_same_answer_is_read_and_one_that_differs_in_a_byte_is_not() -> None:
    plan = ResponsePlan()
    answer, keep = answered(DATED, plan)
    assert answer_parts(plan.read(DATED + b"ok")) == answer_parts(answer)
    assert (plan.end, plan.keep) == (len(DATED), keep)
    for at in range(len(DATED)):
        assert plan.read(DATED[:at] + bytes([DATED[at] ^ 1]) + DATED[at + 1 :]) is None
        assert plan.read(DATED[:at] + DATED[at + 1 :]) is None
        assert plan.read(DATED[:at]) is None


def test_an_answer_changed_by_a_filter_stays_as_it_was_for_the_next() -> None:
    plan = ResponsePlan()
    before = answer_parts(answered(DATED, plan)[0])
    found = plan.read(DATED)
    assert found
    found.data += b"X: y\r\n"
    found.trailers = b"Z: z\r\n"
    assert answer_parts(plan.read(DATED)) == before


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",  # dated by the proxy, now
        DATED.replace(b"X-", b"Set-Cookie: " + b"x" * MAX_HEAD + b"\r\nX-"),
    ],
    ids=["without a date", "too long"],
)
def test_answers_that_are_not_learned(head: bytes) -> None:
    plan = ResponsePlan()
    answered(head, plan)
    assert plan.read(head) is None


# -- laws ------------------------------------------------------------------------------------------------


@law(400)
@given(st.lists(heads(STREAMS), min_size=1, max_size=3), st.data(), st.booleans())
def test_requests_are_read_alike_with_a_plan_and_without(
    drawn: list[bytes], data: st.DataObject, trusted: bool
) -> None:
    """Whatever was learned, and in whatever order: what a plan reads is what the checks would have read."""
    plan, who = RequestPlan(), peer(trusted)
    lines = [LINE, b"POST / HTTP/1.1", b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1"]
    lines += [head.partition(b"\r\n")[0] for head in drawn]
    for head in data.draw(st.lists(st.sampled_from(drawn), min_size=2, max_size=6)):
        if data.draw(st.booleans()):
            head = data.draw(st.sampled_from(lines)) + head[head.find(b"\r\n") :]
        found = plan.read(head, 0, who)
        if found is not None:
            assert plan.end == len(head)
            assert HeadReader(HttpRequestParser, 400).check(head)
            assert parts(found) == parts(checked(head, who))
        try:
            checked(head, who, plan)
        except Reject:
            assert found is None


@law(300)
@given(st.lists(heads(ANSWER_STREAMS), min_size=1, max_size=3), st.data())
def test_answers_are_read_alike_with_a_plan_and_without(drawn: list[bytes], data: st.DataObject) -> None:
    plan = ResponsePlan()
    for head in data.draw(st.lists(st.sampled_from(drawn), min_size=2, max_size=6)):
        if b"\r\nDate:" not in head and data.draw(st.booleans()):
            head = head.replace(b"\r\n", b"\r\nDate: Fri, 27 Nov 2026 03:30:00 GMT\r\n", 1)
        found = plan.read(head)
        try:
            answer, keep = answered(head, plan)
        except Reject:
            assert found is None
        else:
            assert found is None or (answer_parts(found), plan.keep) == (answer_parts(answer), keep)


@contextmanager
def no_plans() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "MAX_HEAD", -1)
        yield


@law(150)
@given(mutated(STREAMS), st.integers(2, 4), st.data())
def test_a_connection_carries_the_same_bytes_with_plans_and_without(
    stream: bytes, times: int, data: st.DataObject
) -> None:
    sent = data.draw(pieces(stream * times))
    with_plans = connection(sent)
    with no_plans():
        assert connection(sent) == with_plans
