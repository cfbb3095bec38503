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
from lbkit.net.http1.plans import CHANCES, MAX_HEAD, MAX_LINES, MAX_NEW, RequestPlan, ResponsePlan
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
    other = HEAD.replace(b"Host: a.", b"Host: b.")
    checked(other, who, plan)
    assert plan.read(HEAD, 0, who) is None
    assert parts(plan.read(other, 0, who)) == parts(checked(other, who))


def test_a_new_plan_knows_nothing() -> None:
    for data in (b"", b"\r\n", b"\0\0", HEAD):
        assert RequestPlan().read(data, 0, peer()) is None
        assert ResponsePlan().read(data) is None


# -- heads of the same form ------------------------------------------------------------------------------

POST = (
    b"POST /a HTTP/1.1\r\nHost: a.example\r\nUser-Agent: u\r\nX-Forwarded-For: 6.6.6.6\r\nCookie: sid=1\r\n"
    b"Content-Length: 5\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nVia: 1.0 v\r\n\r\n"
)


def formed(head: bytes = POST, trusted: bool = False) -> tuple[RequestPlan, Peer]:
    """A plan of two heads, of which the second has the form of `head`."""
    plan, who = RequestPlan(), peer(trusted)
    checked(LINE + b"\r\nHost: first\r\n\r\n", who, plan)
    checked(head, who, plan)
    return plan, who


@pytest.mark.parametrize("trusted", [False, True])
def test_other_values_are_read_by_the_form(trusted: bool) -> None:
    plan, who = formed(trusted=trusted)
    other = POST.replace(b"sid=1", b"sid=2; \xe4\t").replace(b"Length: 5", b"Length: 123")
    other = other.replace(b"POST /a ", b"PUT /b?c=d ").replace(b"User-Agent: u", b"User-Agent:")
    found = plan.read(b"#" + other + b"more", 1, who)
    assert found
    assert found.length == 123
    assert parts(found) == parts(checked(other, who))
    assert plan.end == 1 + len(other)
    assert parts(plan.read(POST, 0, who)) == parts(checked(POST, who))


@pytest.mark.parametrize("end", [b"\r\n", b"; b\r\n"])
@pytest.mark.parametrize("byte", range(256))
def test_a_value_with_any_byte_is_read_as_the_parser_reads_it(byte: int, end: bytes) -> None:
    plan, who = formed()
    other = POST.replace(b"sid=1\r\n", b"sid=1" + bytes([byte]) + end)
    found = plan.read(other, 0, who)
    try:
        expected = parts(checked(other, who))
    except Reject:
        expected = None
    assert parts(found) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Host: a.example", b"Host: b.example"),
        (b"6.6.6.6", b"6.6.6.7"),
        (b"Via: 1.0 v", b"Via: 1.0 w"),
        (b"keep-alive", b"close"),
        (b"keep-alive", b"Cookie"),
        (b"100-continue", b"200-ok"),
        (b"Cookie: sid=1", b"Cookies: sid=1"),
        (b"Cookie: sid=1", b"cookie: sid=2"),
        (b"Cookie: sid=1", b"Cookie : sid=2"),
        (b"Cookie: sid=1", b" Cookie: sid=2"),
        (b"Cookie: sid=1\r\n", b""),
        (b"Cookie: sid=1", b"Cookie: sid=2\r\nCookie: sid=3"),
        (b"Cookie: sid=1", b"Cookie: sid=2\r\n folded"),
        (b"Cookie: sid=1", b"Transfer-Encoding: chunked"),
        (b"Cookie: sid=1\r\nContent-Length: 5", b"Content-Length: 5\r\nCookie: sid=1"),
        *(
            (b"Length: 5", b"Length:" + value)
            for value in (b"", b" +5", b" -5", b" 0x5", b" 5, 5", b" 5 5", b" 5.")
        ),
        (b"Length: 5", b"Length: " + b"9" * 20),
        (b"POST /a HTTP/1.1", b"POST /a HTTP/1.0"),
        (b"POST /a", b"POST /a b"),
        (b"\r\n\r\n", b"\r\n"),
        (b"sid=1", b"x" * MAX_HEAD),
    ],
)
def test_what_has_another_form_is_checked_anew(old: bytes, new: bytes) -> None:
    plan, who = formed()
    assert old in POST
    assert plan.read(POST.replace(old, new), 0, who) is None


COOKIE = (b"sid=1", b"sid=2")


@pytest.mark.parametrize(
    "head",
    [
        POST.replace(b"Via: 1.0 v\r\n", b"").replace(*COOKIE),  # the last line is missing
        POST.replace(b"\r\n\r\n", b"\r\nAge: 1\r\n\r\n").replace(*COOKIE),  # there is one more
        b"GET http://b/ HTTP/1.1" + POST[POST.find(b"\r\n") :].replace(*COOKIE),
        b"POST /a HTTP/1.1 x" + POST[POST.find(b"\r\n") :].replace(*COOKIE),
        b"POST /a HTTP/1.10" + POST[POST.find(b"\r\n") :].replace(*COOKIE),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\nmore\r\n\r\n",
        b"POST /\xe4 HTTP/1.1" + POST[POST.find(b"\r\n") :].replace(*COOKIE),
    ],
)
def test_a_head_that_nearly_fits_is_checked_anew(head: bytes) -> None:
    plan, who = formed()
    assert plan.read(head, 0, who) is None


def test_no_part_of_a_head_fits() -> None:
    other = POST.replace(*COOKIE)
    for end in range(len(other)):
        plan, who = formed()
        assert plan.read(other[:end], 0, who) is None
        assert plan.read(other[:end] + b"x", 0, who) is None
    assert plan.read(other, 0, who)


def test_each_head_has_its_own_length() -> None:
    plan, who = formed()
    for cookie, length in [(b"a", b"123"), (b"b", b"5"), (b"c", b"7"), (b"d", b"5")]:
        other = POST.replace(b"sid=1", cookie).replace(b"Length: 5", b"Length: " + length)
        found = plan.read(other, 0, who)
        assert found
        assert found.length == int(length)


def test_the_client_is_that_of_the_form() -> None:
    plan, who = formed(trusted=True)
    another = POST.replace(b"6.6.6.6", b"7.7.7.7")
    assert checked(another, who, plan).client == "7.7.7.7"
    found = plan.read(POST.replace(*COOKIE), 0, who)
    assert found
    assert found.client == "6.6.6.6"
    assert parts(found) == parts(checked(POST.replace(*COOKIE), who))


@pytest.mark.parametrize(("new", "known"), [(MAX_NEW, True), (MAX_NEW + 1, False)])
def test_heads_with_many_new_values_are_checked_anew(new: int, known: bool) -> None:
    head = LINE + b"\r\nHost: a" + b"\r\nA: 1" * (MAX_NEW + 5) + b"\r\n\r\n"
    plan, who = formed(head)
    assert bool(plan.read(head.replace(b"A: 1", b"A: 2", new), 0, who)) == known


def test_a_field_that_connection_names_is_forwarded_in_no_form() -> None:
    head = LINE + b"\r\nHost: a\r\nX-Mine: 1\r\nConnection: x-mine\r\nAge: 1\r\n\r\n"
    plan, who = formed(head)
    assert plan.read(head.replace(b"Mine: 1", b"Mine: 2"), 0, who) is None
    other = head.replace(b"Age: 1", b"Age: 2")
    found = plan.read(other, 0, who)
    assert found
    assert b"Mine" not in found.data
    assert parts(found) == parts(checked(other, who))


def test_a_form_is_made_of_heads_ever_further_apart() -> None:
    known = []
    for count in range(1, 20):
        plan, who = RequestPlan(), peer()
        unlike = [HEAD.replace(b"Cookie", b"X-%d" % number) for number in range(count)]
        for head in unlike:
            checked(head, who, plan)
        if plan.read(unlike[-1].replace(b"sid=1", b"sid=2"), 0, who):
            known.append(count)
    assert known == [2, 4, 8, 16]


@pytest.mark.parametrize(("fields", "known"), [(MAX_LINES, True), (MAX_LINES + 1, False)])
def test_a_head_of_many_fields_has_no_form(fields: int, known: bool) -> None:
    head = LINE + b"\r\nHost: a" + b"\r\nA: 1" * (fields - 1) + b"\r\n\r\n"
    plan, who = formed(head)
    assert bool(plan.read(head.replace(b"A: 1", b"A: 2", 1), 0, who)) == known


def test_a_form_that_no_head_fits_is_given_up() -> None:
    other = POST.replace(b"sid=1", b"sid=2")
    for misfits in range(CHANCES + 1):
        plan, who = formed()
        for _ in range(2):  # a head that fits gives it all chances again
            for _ in range(misfits):
                assert plan.read(POST.replace(b"Cookie", b"Biscuit"), 0, who) is None
            assert bool(plan.read(other, 0, who)) == (misfits < CHANCES)


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


def test_answers_of_the_same_form_are_read_with_their_own_length_and_internal_fields() -> None:
    plan = ResponsePlan()
    answered(DATED.replace(b"200 OK", b"201 Created"), plan)
    answered(DATED, plan)
    other = (
        DATED.replace(b"03:30:00", b"03:30:01").replace(b"h: 2", b"h: 31").replace(b"Start: 1", b"Start: 2")
    )
    answer, keep = answered(other)
    assert answer_parts(plan.read(other + b"ok")) == answer_parts(answer)
    assert (answer.length, answer.internal) == (31, b"X-Lbkit-Start: 2\r\n")
    assert (plan.end, plan.keep) == (len(other), keep)
    for old, new in [
        (b"200 OK", b"200 Ok"),
        (b"keep-alive", b"close"),
        (b"h: 31", b"h: 3a"),
        (b"03:30", b"03\n30"),
    ]:
        assert plan.read(other.replace(old, new)) is None


def test_an_answer_without_fields_has_no_form() -> None:
    plan = ResponsePlan()
    answered(DATED, plan)
    answered(DATED.replace(b":00 GMT", b":01 GMT"), plan)
    assert plan.read(b"HTTP/1.1 200 OK\r\n\r\n") is None
    assert plan.read(b"HTTP/1.1 200 OK\r\n\r\nmore\r\n\r\n") is None


def test_fields_for_the_proxy_do_not_pile_up() -> None:
    plan = ResponsePlan()
    answered(DATED, plan)
    answered(DATED.replace(b":00 GMT", b":01 GMT"), plan)
    for second in (b"02", b"03"):
        found = plan.read(DATED.replace(b":00 GMT", b":" + second + b" GMT"))
        assert found
        assert found.internal == b"X-Lbkit-Start: 1\r\n"


@pytest.mark.parametrize(
    "line", [b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 OKxx", b"HTTP/1.1 200 OK\r"]
)
def test_a_status_line_is_the_same_or_checked_anew(line: bytes) -> None:
    plan = ResponsePlan()
    answered(DATED, plan)
    answered(DATED.replace(b":00 GMT", b":01 GMT"), plan)
    other = DATED.replace(b":00 GMT", b":02 GMT")
    assert plan.read(other)
    assert plan.read(other.replace(b"HTTP/1.1 200 OK", line)) is None


@pytest.mark.parametrize("line", [b"HTTP/1.0 200 OK", b"HTTP/1.1 200 "])
def test_answers_whose_status_line_is_sent_on_in_another_form(line: bytes) -> None:
    plan = ResponsePlan()
    for second in (b"00", b"01"):
        answered(DATED.replace(b"HTTP/1.1 200 OK", line).replace(b":00 GMT", b":%b GMT" % second), plan)
    other = DATED.replace(b"HTTP/1.1 200 OK", line).replace(b":00 GMT", b":02 GMT")
    found = plan.read(other)
    assert found is None or answer_parts(found) == answer_parts(answered(other)[0])


@pytest.mark.parametrize(
    ("status", "length"), [(b"204 No Content", 0), (b"304 Not Modified", 0), (b"404 No", 7)]
)
def test_the_form_of_answers_without_a_body(status: bytes, length: int) -> None:
    plan = ResponsePlan()
    head = DATED.replace(b"200 OK", status)
    answered(DATED, plan)
    answered(head, plan)
    other = head.replace(b"03:30:00", b"03:30:01").replace(b"h: 2", b"h: 7")
    expected, _ = answered(other)
    assert expected.length == length
    found = plan.read(other)
    assert found is None or answer_parts(found) == answer_parts(expected)
    assert bool(found) == (length == 7)


# -- laws ------------------------------------------------------------------------------------------------


VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"", b"close", b"chunked", b"7", b" 7", b"+7", b"100-continue", b"a.example", b"keep-alive", b"h2c"]
    ),
)


def other_values(head: bytes, data: st.DataObject) -> bytes:
    """A head with the same names, of which some have other values."""
    lines = head[:-4].split(b"\r\n")
    for at in data.draw(st.sets(st.integers(1, max(1, len(lines) - 1)), max_size=3)):
        if at < len(lines):
            name = lines[at].partition(b":")[0]
            lines[at] = name + b":" + data.draw(st.sampled_from([b"", b" "])) + data.draw(VALUES)
    return b"\r\n".join(lines) + b"\r\n\r\n"


@law(400)
@given(st.lists(heads(STREAMS), min_size=1, max_size=3), st.data(), st.booleans())
def test_requests_are_read_alike_with_a_plan_and_without(
    drawn: list[bytes], data: st.DataObject, trusted: bool
) -> None:
    """Whatever was learned, and in whatever order: what a plan reads is what the checks would have read."""
    plan, who = RequestPlan(), peer(trusted)
    lines = [LINE, b"POST / HTTP/1.1", b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1"]
    lines += [head.partition(b"\r\n")[0] for head in drawn]
    for head in data.draw(st.lists(st.sampled_from(drawn), min_size=2, max_size=8)):
        if data.draw(st.booleans()):
            head = data.draw(st.sampled_from(lines)) + head[head.find(b"\r\n") :]
        if data.draw(st.booleans()):
            head = other_values(head, data)
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
@given(heads(STREAMS), st.data(), st.booleans())
def test_requests_of_one_form_are_read_as_the_checks_read_them(
    head: bytes, data: st.DataObject, trusted: bool
) -> None:
    try:
        plan, who = formed(head, trusted)
    except Reject:
        return
    for _ in range(data.draw(st.integers(2, 6))):
        other = other_values(head, data)
        found = plan.read(other, 0, who)
        if found is not None:
            assert HeadReader(HttpRequestParser, 400).check(other)
            assert parts(found) == parts(checked(other, who))


@law(300)
@given(st.lists(heads(ANSWER_STREAMS), min_size=1, max_size=3), st.data())
def test_answers_are_read_alike_with_a_plan_and_without(drawn: list[bytes], data: st.DataObject) -> None:
    plan = ResponsePlan()
    for head in data.draw(st.lists(st.sampled_from(drawn), min_size=2, max_size=8)):
        if b"\r\nDate:" not in head and data.draw(st.booleans()):
            head = head.replace(b"\r\n", b"\r\nDate: Fri, 27 Nov 2026 03:30:00 GMT\r\n", 1)
        if data.draw(st.booleans()):
            head = other_values(head, data)
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
