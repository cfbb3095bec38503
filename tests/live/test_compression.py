"""Compression on real sockets: the proxy and real programs, by clients that decode what they get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from needs import need, need_feature

need_feature("live")
need_feature("brotli")
need_feature("zstd")

from lbkit import (
    Backend,
    Compression,
    Constant,
    EngineError,
    Experiment,
    Poisson,
    RequestKind,
    Traffic,
    render,
    run,
    servers,
)
from lbkit.clients.decoding import Decoding
from lbkit.clients.http1 import Http1, Target
from lbkit.live import PEERS, LocalFleet

pytestmark = pytest.mark.live

KINDS = (RequestKind("page", size=20_000), RequestKind("small", size=100))
BASE = Experiment(
    servers(1, service=Constant(0.005)),
    Traffic(Poisson(40), duration=1.5, mix=KINDS),
    compression=Compression(codings=("br", "zstd", "gzip")),
    seed=4,
)


def test_the_result_says_what_was_saved() -> None:
    result = run(BASE, "live")
    assert result.error_rate == 0
    kinds = result.by_kind()
    assert result.compressed
    assert result.compressed.answers == kinds["page"]  # the others are too short
    assert result.compressed.content == kinds["page"] * 20_000 + kinds["small"] * 100
    assert 0.5 < result.compressed.saved < 0.8


@pytest.fixture(scope="module")
def backend() -> Iterator[list[Backend]]:
    with LocalFleet(servers(1)) as fleet:
        yield fleet.backends()


@pytest.mark.parametrize(
    ("on", "program"), [("nginx", "nginx"), ("haproxy", "haproxy"), ("apache", "apache2"), ("caddy", "caddy")]
)
def test_a_program_compresses(on: str, program: str, backend: list[Backend]) -> None:
    need(program)
    front = PEERS[on](BASE.but(compression=Compression()))
    decoding = Decoding(Compression())
    try:
        front.start(backend)
        client = Http1(Target("127.0.0.1", front.port, 10.0), 1)
        fields = {"X-Lbkit-Size": "20000", "Accept-Encoding": decoding.accept, "X-Forwarded-For": "10.0.0.1"}
        answer = client.request("GET", "/", fields, b"")
        client.close()
        assert answer.status == 200
        decoding.count(dict(answer.fields), answer.body)
        assert (decoding.compressed, decoding.content) == (1, 20_000)
        assert decoding.received < 15_000
    finally:
        front.stop()


@pytest.mark.parametrize("on", ["nginx", "haproxy", "apache", "caddy"])
def test_a_program_refuses_codings_that_it_does_not_have(on: str) -> None:
    with pytest.raises(EngineError, match=f"{on} has no 'br' here: use compression.codings"):
        render(BASE, on)
