"""Traces through a proxy: what backends get, and the spans that are kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from needs import need_feature
from scripted import GET, TIMEOUT, Client, Connection, Script, Scripted, answers, ask, echo, field, pool_of

need_feature("tracing")

from opentelemetry.trace import SpanKind, StatusCode
from traced import keep, names, tree

from lbkit import Hedge, Policy, Retry
from lbkit.core.routing import Routing, Rule, When
from lbkit.edge import Admission, RateLimit
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.http2.rules import Http2
from lbkit.net.tracing.context import parse_parent
from lbkit.net.tracing.rules import Tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def get(*fields: str, path: str = "/", method: str = "GET") -> bytes:
    lines = "".join(f"{line}\r\n" for line in fields)
    return f"{method} {path} HTTP/1.1\r\nHost: a.test:80\r\n{lines}\r\n".encode("latin-1")


def dies(connection: Connection) -> None:
    connection.head()


@contextmanager
def traced(*scripts: Script, rules: Tracing | None = None, **options: Any) -> Iterator[tuple[Proxy, Any]]:
    """A proxy with tracing before these backends, and where its spans are once it has stopped."""
    backends = [Scripted(script) for script in scripts]
    proxy = Proxy(pool_of(*(b.port for b in backends)), tracing=rules or Tracing(), **options)
    kept = keep(proxy)
    try:
        with proxy:
            yield proxy, kept
        assert not proxy.faults.lines()
    finally:
        for backend in backends:
            backend.close()


def sent_on(body: bytes) -> tuple[str, str, bool]:
    """Return the trace, the parent and the flag that an `echo` has seen."""
    (value,) = field(body, "traceparent")
    found = parse_parent(value.encode())
    assert found
    return found.trace_id, found.span_id, found.sampled


# -- what is passed on -------------------------------------------------------------------------------


def test_a_trace_goes_on_with_the_proxys_spans_in_between() -> None:
    with traced(echo) as (proxy, kept):
        status, _, body = ask(
            proxy, get(f"traceparent: {PARENT}", "tracestate: a=1,b@c=2", path="/x?secret=1")
        )
    assert status == 200
    ours, (attempt,) = tree(kept.get_finished_spans())
    assert sent_on(body) == (TRACE, f"{attempt.context.span_id:016x}", True)
    assert field(body, "tracestate") == ["a=1,b@c=2"]
    assert f"{ours.context.trace_id:032x}" == TRACE
    assert ours.parent
    assert f"{ours.parent.span_id:016x}" == SPAN
    assert ours.parent.is_remote
    assert ours.context.trace_state.to_header() == "a=1,b@c=2"
    assert ours.name == attempt.name == "GET"
    assert ours.status.status_code is StatusCode.UNSET
    assert dict(ours.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/x",
        "server.address": "a.test",
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "lbkit.attempts": 1,
    }
    assert dict(attempt.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": proxy.pool.backends[0].port,
        "network.protocol.version": "1.1",
        "lbkit.backend": "b1",
        "lbkit.outcome": "ok",
    }
    assert names(ours) == ["picked"]
    assert names(attempt) == ["picked", "connected", "first byte"]
    times = [event.timestamp for event in attempt.events]
    assert times == sorted(times)
    assert ours.resource.attributes["service.name"] == "lbkit"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["traceparent: "],
        [f"traceparent: {PARENT.upper()}"],
        [f"traceparent: ff{PARENT[2:]}"],
        [f"traceparent: {PARENT}-more"],
        [f"traceparent: {PARENT}", f"traceparent: {PARENT}"],
        ["traceparent: 00-" + "0" * 32 + f"-{SPAN}-01"],
        [f"traceparent: {PARENT.replace('0af7', '0áf7')}"],
        ["tracestate: a=1"],
    ],
)
def test_without_a_context_that_counts_a_trace_begins(fields: list[str]) -> None:
    with traced(echo) as (proxy, kept):
        body = ask(proxy, get(*fields, "tracestate: a=1"))[2]
    ours, (attempt,) = tree(kept.get_finished_spans())
    trace_id, parent_id, sampled = sent_on(body)
    assert trace_id == f"{ours.context.trace_id:032x}" != TRACE
    assert parent_id == f"{attempt.context.span_id:016x}"
    assert sampled
    assert ours.parent is None
    assert field(body, "tracestate") == []  # of a trace that is not this one


def test_a_huge_state_is_dropped_and_the_trace_goes_on() -> None:
    with traced(echo) as (proxy, _):
        huge = ",".join(f"k{i}=1" for i in range(3000))
        body = ask(proxy, get(f"traceparent: {PARENT}", f"tracestate: {huge}"))[2]
        assert (sent_on(body)[0], field(body, "tracestate")) == (TRACE, [])
        many = ask(proxy, get(f"traceparent: {PARENT}", *["tracestate: a=1"] * 90))[2]
        assert (sent_on(many)[0], field(many, "tracestate")) == (TRACE, [])


def test_what_is_not_sampled_is_passed_on_and_not_recorded() -> None:
    with traced(echo, rules=Tracing(sample=0.0)) as (proxy, kept):
        _, parent_id, sampled = sent_on(ask(proxy)[2])
        asked = sent_on(ask(proxy, get(f"traceparent: {PARENT[:-1]}0"))[2])
        recorded = sent_on(ask(proxy, get(f"traceparent: {PARENT}"))[2])
    assert not sampled
    assert (asked[0], asked[2]) == (TRACE, False)
    assert asked[1] not in (SPAN, parent_id)
    assert (recorded[0], recorded[2]) == (TRACE, True)  # whoever began the trace has decided
    tree(kept.get_finished_spans())


def test_strangers_do_not_decide_where_only_trusted_proxies_are_believed() -> None:
    with traced(echo, rules=Tracing(accept="trusted", sample=0.0)) as (proxy, kept):
        trace_id, _, sampled = sent_on(ask(proxy, get(f"traceparent: {PARENT}"))[2])
        assert trace_id != TRACE
        assert not sampled
    assert not kept.get_finished_spans()
    with traced(echo, rules=Tracing(accept="trusted"), trusted=("127.0.0.0/8",)) as (proxy, _):
        assert sent_on(ask(proxy, get(f"traceparent: {PARENT}"))[2])[0] == TRACE


def test_without_the_section_the_field_passes_as_it_came() -> None:
    backend = Scripted(echo)
    with backend, Proxy(pool_of(backend.port)) as proxy:
        assert field(ask(proxy, get(f"traceparent: {PARENT}"))[2], "traceparent") == [PARENT]
        assert field(ask(proxy)[2], "traceparent") == []
        assert proxy.service.on_attempt == ()


# -- attempts --------------------------------------------------------------------------------------


def test_a_retry_is_a_span_of_its_own_with_its_own_id_on_the_wire() -> None:
    seen: list[str] = []

    def dies_with(connection: Connection) -> None:
        seen.append(sent_on(connection.head())[1])

    with traced(dies_with, echo, policy=Policy("round_robin")) as (proxy, kept):
        seen.append(sent_on(ask(proxy)[2])[1])
    ours, (first, second) = tree(kept.get_finished_spans())
    assert seen == [f"{span.context.span_id:016x}" for span in (first, second)]
    assert ours.attributes["lbkit.attempts"] == 2
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert (first.attributes["lbkit.backend"], second.attributes["lbkit.backend"]) == ("b1", "b2")
    assert first.attributes["error.type"] == "closed_unanswered"
    assert first.status.status_code is StatusCode.ERROR
    assert names(first) == ["picked", "connected", "closed unanswered"]
    assert second.status.status_code is StatusCode.UNSET


def test_an_answer_that_counts_as_a_failure_is_the_attempts_and_not_the_proxys() -> None:
    policy = Policy("round_robin", retry=Retry(statuses=(503,)))
    with traced(answers(BROKEN), answers(OK), policy=policy) as (proxy, kept):
        assert ask(proxy)[0] == 200
    ours, (first, second) = tree(kept.get_finished_spans())
    assert (first.attributes["http.response.status_code"], first.attributes["error.type"]) == (503, "503")
    assert ours.attributes["http.response.status_code"] == 200
    assert "error.type" not in ours.attributes
    assert "error.type" not in second.attributes


def test_hedges_overlap_and_have_ids_of_their_own() -> None:
    seen: list[str] = []
    go = threading.Event()

    def slow(connection: Connection) -> None:
        seen.append(sent_on(connection.head())[1])
        go.wait(TIMEOUT)

    policy = Policy("round_robin", retry=Retry(hedge=Hedge(0.02)))
    with traced(slow, echo, policy=policy) as (proxy, kept):
        seen.append(sent_on(ask(proxy)[2])[1])
        go.set()
    _, (first, hedge) = tree(kept.get_finished_spans())
    assert seen == [f"{span.context.span_id:016x}" for span in (first, hedge)]
    assert hedge.start_time < first.end_time
    assert hedge.attributes["lbkit.hedge"] is True
    assert "lbkit.hedge" not in first.attributes
    assert (first.attributes["lbkit.outcome"], hedge.attributes["lbkit.outcome"]) == ("dropped", "ok")


def test_a_hedge_that_loses_ends_with_its_spans() -> None:
    go = threading.Event()

    def late(connection: Connection) -> None:
        connection.head()
        go.wait(TIMEOUT)
        connection.send(OK)

    def never(connection: Connection) -> None:
        connection.head()
        go.set()
        connection.head()

    policy = Policy("round_robin", retry=Retry(hedge=Hedge(0.02)))
    with traced(late, never, policy=policy) as (proxy, kept):
        assert ask(proxy)[0] == 200
    _, (first, hedge) = tree(kept.get_finished_spans())
    assert (first.attributes["lbkit.outcome"], hedge.attributes["lbkit.outcome"]) == ("ok", "dropped")


def test_a_kept_connection_that_had_closed_is_one_attempt() -> None:
    once = threading.Event()

    def closes_the_second(connection: Connection) -> None:
        if once.is_set():
            connection.send(OK) if connection.head() else None
            return
        once.set()
        connection.head()
        connection.send(OK)
        connection.head()  # and close without an answer

    with traced(closes_the_second, policy=Policy(retries=0)) as (proxy, kept):
        assert [ask(proxy)[0], ask(proxy)[0]] == [200, 200]
    second = kept.get_finished_spans()[-2:]
    _, (attempt,) = tree(second)
    assert names(attempt) == ["picked", "closed unanswered", "connected", "first byte"]
    assert "error.type" not in attempt.attributes


def test_no_backend_answers() -> None:
    with traced(dies, policy=Policy(retries=0)) as (proxy, kept):
        assert ask(proxy)[0] == 502
    ours, (attempt,) = tree(kept.get_finished_spans())
    assert (ours.attributes["http.response.status_code"], ours.attributes["error.type"]) == (502, "502")
    assert ours.status.status_code is StatusCode.ERROR
    assert attempt.attributes["lbkit.outcome"] == "failed"


def test_a_request_that_waits_is_queued_until_it_is_picked() -> None:
    arrived, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        while connection.head():
            arrived.set()
            go.wait(TIMEOUT)
            connection.send(OK)

    admission = Admission({"kind": "concurrency_limit", "limit": 1}, timeout=TIMEOUT)
    with traced(slow, admission=admission) as (proxy, kept), Client(proxy) as one, Client(proxy) as two:
        one.send(GET)
        assert arrived.wait(TIMEOUT)
        two.send(GET)
        gate = proxy.filters["admission"]
        until_true(lambda: proxy.call(gate.state)["waiting"] == 1)  # type: ignore[attr-defined]
        go.set()
        assert (one.answer()[0], two.answer()[0]) == (200, 200)
    spans = kept.get_finished_spans()
    by_trace = {
        span.context.trace_id: [s for s in spans if s.context.trace_id == span.context.trace_id]
        for span in spans
    }
    found = sorted(names(tree(of_one)[0]) for of_one in by_trace.values())
    assert found == [["picked"], ["queued", "picked"]]


def until_true(true: Any) -> None:
    end = threading.Event()
    for _ in range(int(TIMEOUT / 0.005)):
        if true():
            return
        end.wait(0.005)
    raise AssertionError("it never came true")


def test_a_refused_request_has_a_span_without_attempts() -> None:
    one = RateLimit({"kind": "token_bucket", "rate": 0.01, "burst": 1})
    with traced(answers(OK), rate_limits=[one]) as (proxy, kept):
        assert [ask(proxy)[0], ask(proxy)[0]] == [200, 429]
    refused = kept.get_finished_spans()[-1]
    assert refused.kind is SpanKind.SERVER
    assert refused.attributes["http.response.status_code"] == 429
    assert refused.status.status_code is StatusCode.UNSET  # a client's own fault
    assert len(kept.get_finished_spans()) == 3


def test_a_client_that_leaves_has_a_span_without_a_status() -> None:
    arrived = threading.Event()

    def silent(connection: Connection) -> None:
        connection.head()
        arrived.set()
        connection.head()

    with traced(silent) as (proxy, kept):
        with Client(proxy) as client:
            client.send(GET)
            assert arrived.wait(TIMEOUT)
        until_true(lambda: not proxy.call(lambda: sum(b.in_flight for b in proxy.pool.backends)))
    ours, (attempt,) = tree(kept.get_finished_spans())
    assert "http.response.status_code" not in ours.attributes
    assert attempt.attributes["lbkit.outcome"] == "dropped"


def test_an_unknown_method_is_no_name_of_a_span() -> None:
    """Names have few values, or a client could make any number of them."""
    with traced(echo) as (proxy, kept):
        assert ask(proxy, get(method="PROPFIND"))[0] == 200
    ours, _ = tree(kept.get_finished_spans())
    assert ours.name == "HTTP"
    assert ours.attributes["http.request.method"] == "_OTHER"
    assert ours.attributes["http.request.method_original"] == "PROPFIND"


def test_a_span_names_the_rule_that_chose_the_backend() -> None:
    routing = Routing([Rule("shop", when=When(prefix=("/shop",)))])
    with traced(echo, routing=routing) as (proxy, kept):
        assert ask(proxy, get(path="/shop/1"))[0] == 200
    assert tree(kept.get_finished_spans())[0].attributes["lbkit.rule"] == "shop"


def test_a_websocket_is_one_span_until_it_ends() -> None:
    def switches(connection: Connection) -> None:
        connection.head()
        connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi"
        )
        connection.sock.recv(1)  # until the client leaves

    with traced(switches) as (proxy, kept):
        with Client(proxy) as client:
            client.send(get("Connection: Upgrade", "Upgrade: websocket", f"traceparent: {PARENT}"))
            assert client.answer()[0] == 101
        until_true(lambda: not proxy.call(lambda: sum(b.in_flight for b in proxy.pool.backends)))
    ours, (attempt,) = tree(kept.get_finished_spans())
    assert ours.attributes["http.response.status_code"] == 101
    assert names(attempt) == ["picked", "connected", "first byte"]
    assert ours.status.status_code is StatusCode.UNSET


# -- by every version of HTTP --------------------------------------------------------------------------


def test_http2_from_clients() -> None:
    need_feature("http2")
    from http2_client import Http2Client
    from http2_client import get as request

    with traced(echo, http2=Http2()) as (proxy, kept):
        with Http2Client(proxy) as client:
            answer = client.ask(request(b"/", (b"traceparent", PARENT.encode()), (b"tracestate", b"a=1")))
        assert sent_on(answer.body)[0] == TRACE
        assert field(answer.body, "tracestate") == ["a=1"]
    ours, _ = tree(kept.get_finished_spans())
    assert ours.attributes["network.protocol.version"] == "2"
    assert f"{ours.parent.span_id:016x}" == SPAN


def test_http3_from_clients() -> None:
    need_feature("http3")
    from http3_client import Http3, Http3Client, tls_rules
    from http3_client import get as request

    with traced(echo, http3=Http3(), tls=tls_rules()) as (proxy, kept):
        with Http3Client(proxy) as client:
            answer = client.ask(request(b"/", (b"traceparent", PARENT.encode())))
        assert sent_on(bytes(answer.body))[0] == TRACE
    ours, _ = tree(kept.get_finished_spans())
    assert ours.attributes["network.protocol.version"] == "3"
    assert ours.attributes["url.scheme"] == "https"


def test_grpc_over_http2_to_a_backend() -> None:
    need_feature("http2")
    import grpc
    from net.test_grpc import SECONDS, Calls, Server

    server = Server("a")
    try:
        config = ProxyConfig(
            [BackendConfig(f"127.0.0.1:{server.port}", "a", protocol="h2")],
            listen="127.0.0.1:0",
            http2=Http2(),
            tracing=Tracing(),
        )
        proxy = Proxy(config=config)
        kept = keep(proxy)
        with proxy, grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
            assert Calls(channel).unary(b"x", timeout=SECONDS, metadata=[("traceparent", PARENT)]) == b"x"
    finally:
        server.server.stop(0).wait(SECONDS)
    ours, (attempt,) = tree(kept.get_finished_spans())
    assert server.asked["traceparent"] == f"00-{TRACE}-{attempt.context.span_id:016x}-01"
    assert ours.attributes["url.path"] == "/lab.Echo/Unary"
    assert attempt.attributes["network.protocol.version"] == "2"


# -- the access log -----------------------------------------------------------------------------------


def test_the_access_log_has_the_trace(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with traced(echo, access_log=str(log), access_log_format="json") as (proxy, kept):
        ask(proxy, get(f"traceparent: {PARENT}"))
        ask(proxy, get("traceparent: nonsense"))
    first, second = map(json.loads, log.read_text().splitlines())
    assert first["trace_id"] == TRACE
    assert second["trace_id"] in {f"{span.context.trace_id:032x}" for span in kept.get_finished_spans()}
