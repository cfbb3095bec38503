"""Fields after a body: kept towards HTTP/1.1 backends and from them, unless they belong in a head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.net.http1.body import Chunked, chunk


def fed(data: bytes, size: int) -> Chunked:
    chunks = Chunked()
    for at in range(0, len(data), size):
        chunks.feed(data[at : at + size])
    return chunks


@given(st.integers(1, 60))
def test_trailers_are_found_wherever_the_bytes_are_split(size: int) -> None:
    chunks = fed(chunk(b"abc", True, b"grpc-status: 0\r\nX-Sum: 1\r\n"), size)
    assert chunks.done
    assert chunks.trailers == b"grpc-status: 0\r\nX-Sum: 1\r\n"


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "transfer-encoding", "Host", "X-Forwarded-For", "X_Forwarded_For", "Cookie", "TE"],
)
def test_fields_that_mean_something_only_in_a_head_are_dropped(name: str) -> None:
    assert fed(chunk(b"", True, f"{name}: 1\r\nX-Sum: 1\r\n".encode()), 100).trailers == b"X-Sum: 1\r\n"
