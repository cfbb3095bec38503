"""gRPC end to end: grpcio as client and as server, the proxy between them, calls of every kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from needs import need_feature
from served import wait_until

need_feature("http2")

import grpc

from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.experiment import Policy
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.http2.rules import Http2
from lbkit.net.tls.lab import CA_CERT, make_certificates
from lbkit.net.tls.origin import OriginTls
from lbkit.net.tls.rules import Certificate, TlsRules

SERVICE = "lab.Echo"
SECONDS = 20.0  # only reached when something is broken


class Server(grpc.GenericRpcHandler):
    """Says its name, and counts its calls. Messages are plain bytes."""

    def __init__(self, name: str, credentials: Any = None, **options: Any) -> None:
        self.name = name
        self.calls = 0
        self.asked: dict[str, str] = {}
        self.server = grpc.server(
            ThreadPoolExecutor(16), handlers=[self], options=[(f"grpc.{k}", v) for k, v in options.items()]
        )
        if credentials:
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, details: Any) -> Any:
        self.calls += 1
        self.asked = dict(details.invocation_metadata)
        return {
            f"/{SERVICE}/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            f"/{SERVICE}/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            f"/{SERVICE}/Never": grpc.unary_unary_rpc_method_handler(self.never),
            f"/{SERVICE}/Count": grpc.unary_stream_rpc_method_handler(self.count),
            f"/{SERVICE}/Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            f"/{SERVICE}/Talk": grpc.stream_stream_rpc_method_handler(self.talk),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(lambda *_: b"\x08\x01"),
        }.get(details.method)

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata([("served-by", self.name), ("seen-bin", b"\0\1")])
        return request

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata([("hint", "none left")])
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no täps")

    def never(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(SECONDS)
        return b""

    def count(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for i in range(int(request)):
            yield b"%d" % i

    def sum(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"%d" % sum(map(int, requests))

    def talk(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield request.upper()


class Calls:
    """A client, on one connection."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.unary = channel.unary_unary(f"/{SERVICE}/Unary")
        self.fail = channel.unary_unary(f"/{SERVICE}/Fail")
        self.never = channel.unary_unary(f"/{SERVICE}/Never")
        self.count = channel.unary_stream(f"/{SERVICE}/Count")
        self.sum = channel.stream_unary(f"/{SERVICE}/Sum")
        self.talk = channel.stream_stream(f"/{SERVICE}/Talk")
        self.unknown = channel.unary_unary(f"/{SERVICE}/Unknown")


@contextmanager
def through(
    *servers: Server,
    origin: OriginTls | None = None,
    channel: Callable[[Proxy], Any] | None = None,
    **options: Any,
) -> Iterator[tuple[Calls, Proxy]]:
    """A proxy before these servers, and a client of it."""
    with ExitStack() as stack:
        for server in servers:
            stack.callback(lambda server=server: server.server.stop(0).wait(SECONDS))
        configs = [
            BackendConfig(f"127.0.0.1:{server.port}", server.name, protocol="h2", tls=origin)
            for server in servers
        ]
        config = ProxyConfig(backends=configs, listen="127.0.0.1:0", http2=Http2(), **options)
        proxy = stack.enter_context(Proxy(config=config))
        made = channel(proxy) if channel else grpc.insecure_channel(f"127.0.0.1:{proxy.port}")
        yield Calls(stack.enter_context(made)), proxy


def served_by(calls: Calls) -> str:
    _, call = calls.unary.with_call(b"x", timeout=SECONDS)
    return dict(call.trailing_metadata())["served-by"]


def test_a_call_comes_back_with_its_trailers() -> None:
    with through(Server("a")) as (calls, _):
        answer, call = calls.unary.with_call(b"hello" * 1000, timeout=SECONDS, metadata=[("x-tag", "1")])
        assert answer == b"hello" * 1000
        assert call.code() is grpc.StatusCode.OK
        trailing = dict(call.trailing_metadata())
        assert trailing["served-by"] == "a"
        assert trailing["seen-bin"] == b"\0\1"


def test_what_the_client_adds_reaches_the_server() -> None:
    server = Server("a")
    with through(server) as (calls, _):
        calls.unary(b"x", timeout=SECONDS, metadata=[("x-tag", "1"), ("data-bin", b"\0\xff")])
    assert server.asked["x-tag"] == "1"
    assert server.asked["data-bin"] == b"\0\xff"
    assert server.asked["x-forwarded-for"] == "127.0.0.1"


def test_an_error_keeps_its_status_message_and_metadata() -> None:
    with through(Server("a")) as (calls, _):
        with pytest.raises(grpc.RpcError) as caught:
            calls.fail(b"x", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == "no täps"
        assert dict(caught.value.trailing_metadata())["hint"] == "none left"
        with pytest.raises(grpc.RpcError) as caught:
            calls.unknown(b"x", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_streams_pass_in_every_direction() -> None:
    with through(Server("a")) as (calls, _):
        assert list(calls.count(b"1000", timeout=SECONDS)) == [b"%d" % i for i in range(1000)]
        assert calls.sum((b"%d" % i for i in range(1000)), timeout=SECONDS) == b"499500"


def test_both_sides_talk_in_turns_on_one_call() -> None:
    """Each answer comes before the next request is sent: nothing is held back in between."""
    turn = threading.Semaphore(1)

    def says() -> Iterator[bytes]:
        for i in range(20):
            assert turn.acquire(timeout=SECONDS)
            yield b"word %d" % i

    with through(Server("a")) as (calls, _):
        heard = []
        for answer in calls.talk(says(), timeout=SECONDS):
            heard.append(answer)
            turn.release()
    assert heard == [b"WORD %d" % i for i in range(20)]


def test_large_messages_pass_both_ways() -> None:
    message = bytes(range(256)) * 12_000  # 3 MB
    with through(Server("a")) as (calls, _):
        assert calls.unary(message, timeout=SECONDS) == message
        talk = calls.talk(iter([message[:1_000_000]] * 5), timeout=SECONDS)
        assert [len(answer) for answer in talk] == [1_000_000] * 5


def test_calls_on_one_connection_are_balanced_one_by_one() -> None:
    servers = [Server(name) for name in "abc"]
    with through(*servers) as (calls, _):
        assert sorted(served_by(calls) for _ in range(30)) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


def test_many_calls_at_once_need_few_connections() -> None:
    servers = [Server(name) for name in "ab"]
    with through(*servers) as (calls, proxy), ThreadPoolExecutor(50) as threads:
        answers = threads.map(lambda i: calls.unary(b"%d" % i, timeout=SECONDS), range(300))
        assert list(answers) == [b"%d" % i for i in range(300)]
        sessions = proxy.connections.sessions
        assert sessions
        assert [len(some) for some in sessions.open.values()] == [1, 1]


def test_a_call_that_the_client_gives_up_is_over_at_the_server() -> None:
    server = Server("a")
    with through(server) as (calls, _):
        with pytest.raises(grpc.RpcError) as caught:
            calls.never(b"x", timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert calls.unary(b"x", timeout=SECONDS) == b"x"
    assert server.server.stop(SECONDS).wait(SECONDS)  # no call of it is left


def test_no_call_is_lost_while_servers_renew_their_connections() -> None:
    """max_connection_age: the server says GOAWAY, finishes what it has, and leaves the rest out."""
    servers = [Server(name, max_connection_age_ms=100, max_connection_age_grace_ms=5000) for name in "ab"]
    with through(*servers) as (calls, _), ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda i: calls.unary(b"%d" % i, timeout=SECONDS), range(1500))
        assert list(answers) == [b"%d" % i for i in range(1500)]


def test_calls_go_elsewhere_when_a_server_has_stopped() -> None:
    servers = [Server(name) for name in "ab"]
    with through(*servers) as (calls, _):
        assert {served_by(calls) for _ in range(4)} == {"a", "b"}
        servers[0].server.stop(SECONDS).wait(SECONDS)
        assert [served_by(calls) for _ in range(10)] == ["b"] * 10


def test_a_server_that_is_not_there_makes_a_call_unavailable() -> None:
    server = Server("a")
    server.server.stop(0).wait(SECONDS)
    with through(server) as (calls, _):
        with pytest.raises(grpc.RpcError) as caught:
            calls.unary(b"x", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_tls_on_both_sides(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["proxy.test", "app.test"])
    cert, key, ca = ((tmp_path / name).read_bytes() for name in ("app.test.pem", "app.test.key", CA_CERT))
    front = TlsRules(
        certificates=Certificate(str(tmp_path / "proxy.test.pem"), str(tmp_path / "proxy.test.key"))
    )

    def channel(proxy: Proxy) -> Any:
        return grpc.secure_channel(
            f"127.0.0.1:{proxy.port}",
            grpc.ssl_channel_credentials(ca),
            options=[("grpc.ssl_target_name_override", "proxy.test")],
        )

    origin = OriginTls(ca=str(tmp_path / CA_CERT), server_name="app.test")
    server = Server("a", grpc.ssl_server_credentials([(key, cert)]))
    probe = Policy(health=HealthRules(checks=CheckRules(probe=Probe("grpc"), interval=0.5, timeout=0.5)))
    with through(server, origin=origin, channel=channel, policy=probe, tls=front) as (calls, proxy):
        assert served_by(calls) == "a"
        assert list(calls.talk(iter([b"a", b"b"]), timeout=SECONDS)) == [b"A", b"B"]
        wait_until(lambda: server.calls > 2)  # the two, and a check
        assert proxy.pool.backends[0].healthy
        assert not proxy.faults.lines()
