"""The messages of gRPC's health protocol (grpc.health.v1.Health/Check), as bytes; HTTP/2 carries them.

(https://github.com/grpc/grpc/blob/master/doc/health-checking.md; protocol buffers by hand, as there is one
field in each message.)
"""

from __future__ import annotations

PATH = "/grpc.health.v1.Health/Check"
PREFIX = 5  # bytes before a message: whether it is compressed, and its length

# HealthCheckResponse.ServingStatus, by number.
STATES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
# Of the statuses of a call, those that tell something about a server's health service.
STATUSES = {5: "NOT_FOUND, it does not know the service", 12: "UNIMPLEMENTED, it has no health service"}

_SERVICE, _STATUS = 0x0A, 0x08  # field 1 as a text, and as a number


def request(service: str) -> bytes:
    """Return the message that asks for the health of a service; "" asks for the whole server."""
    name = service.encode()
    message = bytes([_SERVICE]) + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def fault(data: bytes) -> str:
    """Return why an answer's message does not pass; empty if the service is SERVING."""
    length = int.from_bytes(data[1:PREFIX], "big")
    message = data[PREFIX:]
    if len(data) < PREFIX or data[0] != 0 or len(message) != length:
        return "answer is not a gRPC message"
    if not message:  # a number of 0 is left out
        return STATES[0]
    if len(message) != 2 or message[0] != _STATUS or message[1] >= len(STATES):
        return "answer is not a HealthCheckResponse"
    state = STATES[message[1]]
    return "" if state == "SERVING" else state


def status_fault(status: str, message: str) -> str:
    """Return why a call failed, by its grpc-status and grpc-message; empty for status 0."""
    if status == "0":
        return ""
    known = STATUSES.get(int(status)) if status.isdecimal() else None
    said = f"grpc-status {status or 'missing'}" + (f" ({known})" if known else "")
    return f"{said}: {message}" if message else said


def _varint(number: int) -> bytes:
    """Return a number as protocol buffers write it: seven bits a byte, the lowest first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
