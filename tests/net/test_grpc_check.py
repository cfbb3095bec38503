"""Health checks by gRPC's protocol, against a server that h2 makes, and against what is none."""

from __future__ import annotations

import asyncio

import pytest
from needs import need_module

need_module("h2")

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from scripted import Connection, Scripted

from lbkit import Backend, Experiment, Policy, run, servers
from lbkit.core.health import CheckRules, HealthRules, Probe, grpc
from lbkit.live import LiveSession
from lbkit.net import ConfigError, ProxyConfig
from lbkit.net.origin.check import send_probe
from lbkit.run import EngineError

SERVING = b"\0\0\0\0\2\x08\1"


class HealthService:
    """Answers one call of Health/Check, and keeps what was asked."""

    def __init__(self, answer: bytes = SERVING, status: str = "200", grpc_status: str = "0") -> None:
        self.answer, self.status, self.grpc_status = answer, status, grpc_status
        self.asked: dict[str, str] = {}

    def __call__(self, connection: Connection) -> None:
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        connection.send(h2.data_to_send())
        while data := connection.sock.recv(65536):
            for event in h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.asked = dict(event.headers)
                if isinstance(event, StreamEnded):
                    stream = event.stream_id
                    h2.send_headers(stream, [(":status", self.status), ("content-type", "application/grpc")])
                    h2.send_data(stream, self.answer)
                    h2.send_headers(stream, [("grpc-status", self.grpc_status)], end_stream=True)
            connection.send(h2.data_to_send())


def http1(connection: Connection) -> None:
    connection.sock.recv(65536)
    connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def silent(connection: Connection) -> None:
    connection.sock.recv(65536)


def check(script: object, **fields: object) -> str:
    with Scripted(script) as backend:  # type: ignore[arg-type]
        probe = Probe("grpc", **fields)  # type: ignore[arg-type]
        return asyncio.run(send_probe(probe, Backend("b", host="127.0.0.1", port=backend.port)))


def test_a_server_that_serves_passes() -> None:
    service = HealthService()
    assert check(service, service="shop", host="shop.example") == ""
    assert service.asked[":path"] == grpc.PATH
    assert service.asked[":authority"] == "shop.example"
    assert service.asked["content-type"] == "application/grpc"


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        (HealthService(b"\0\0\0\0\2\x08\2"), "NOT_SERVING"),
        (HealthService(b"", grpc_status="5"), "grpc-status 5 (NOT_FOUND, it does not know the service)"),
        (HealthService(status="503"), "status 503"),
        (http1, "answer is not HTTP/2"),
        (silent, "no answer: connection closed"),
    ],
)
def test_anything_else_says_why_it_fails(service: object, fault: str) -> None:
    assert check(service) == fault


def test_without_h2_a_proxy_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.net.config.conflicts.why_not", lambda feature: f"{feature} needs h2")
    policy = Policy(health=HealthRules(checks=CheckRules(probe=Probe("grpc"))))
    with pytest.raises((ConfigError, ValueError), match=r"probe.kind is 'grpc': grpc needs h2"):
        ProxyConfig(policy=policy)


def test_servers_of_an_experiment_have_no_grpc_service() -> None:
    experiment = Experiment(
        servers(2), policy=Policy(health=HealthRules(checks=CheckRules(probe=Probe("grpc"))))
    )
    assert run(experiment.but(duration=3)).changes == ()  # simulated ones have
    with pytest.raises(EngineError, match="these servers have no gRPC service"):
        LiveSession(experiment)
