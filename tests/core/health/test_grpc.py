from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.health import grpc


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("", b"\0\0\0\0\0"),
        ("shop", b"\0\0\0\0\6\x0a\4shop"),
        ("x" * 200, b"\0\0\0\0\xcb\x0a\xc8\1" + b"x" * 200),  # a length of two bytes
    ],
)
def test_a_request_names_the_service(service: str, message: bytes) -> None:
    assert grpc.request(service) == message


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\0\0\0\0\2\x08\1", ""),
        (b"\0\0\0\0\0", "UNKNOWN"),  # 0 is left out
        (b"\0\0\0\0\2\x08\2", "NOT_SERVING"),
        (b"\0\0\0\0\2\x08\3", "SERVICE_UNKNOWN"),
        (b"\0\0\0\0\2\x08\4", "answer is not a HealthCheckResponse"),
        (b"\0\0\0\0\2\x10\1", "answer is not a HealthCheckResponse"),
        (b"", "answer is not a gRPC message"),
        (b"\1\0\0\0\2\x08\1", "answer is not a gRPC message"),  # compressed, which we do not offer
        (b"\0\0\0\0\3\x08\1", "answer is not a gRPC message"),  # cut off
    ],
)
def test_only_serving_passes(data: bytes, fault: str) -> None:
    assert grpc.fault(data) == fault


@given(st.binary(max_size=12))
def test_no_bytes_pass_but_one_message(data: bytes) -> None:
    assert (grpc.fault(data) == "") == (data == b"\0\0\0\0\2\x08\1")


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        ("0", "", ""),
        ("5", "", "grpc-status 5 (NOT_FOUND, it does not know the service)"),
        ("12", "no method", "grpc-status 12 (UNIMPLEMENTED, it has no health service): no method"),
        ("14", "", "grpc-status 14"),
        ("", "", "grpc-status missing"),
    ],
)
def test_the_status_of_a_call_says_why_it_failed(status: str, message: str, fault: str) -> None:
    assert grpc.status_fault(status, message) == fault
