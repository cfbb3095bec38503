"""A request's deadline in its head: how long the sender still waits for the answer.

A deadline crosses machines as the seconds that are left, since their clocks differ. `X-Request-Timeout` has
them as a decimal number; gRPC's own `grpc-timeout` (a whole number and a unit: 1500m) is understood as well.
"""

from __future__ import annotations

import re
from math import inf

from lbkit.net.messages import Reject

_FIELDS = re.compile(rb"\r\n(x-request-timeout|grpc-timeout):[ \t]*([^\r\n]*)", re.IGNORECASE)
_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")
_GRPC = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST_MS = 99_999_999  # eight digits


def client_timeout(head: bytes) -> float:
    """Return the timeout in a head in seconds, the shortest if it has several fields; inf without any.

    Raises Reject for a malformed field."""
    shortest = inf
    for name, value in _FIELDS.findall(head):
        value = value.rstrip()
        if name.lower() == b"grpc-timeout":
            if not (found := _GRPC.fullmatch(value)):
                raise Reject(400, "grpc-timeout must be digits and a unit, such as 1500m")
            seconds = int(found[1]) * _UNITS[found[2]]
        else:
            if not _SECONDS.fullmatch(value):
                raise Reject(400, "X-Request-Timeout must be seconds, such as 1.5")
            seconds = float(value)
        shortest = min(shortest, seconds)
    return shortest


def stamped(head: bytes, left: float) -> bytes:
    """Return the head with `left` seconds, rounded down: also in grpc-timeout, if it was there."""
    ms = int(left * 1000)
    grpc = any(name.lower() == b"grpc-timeout" for name, _ in _FIELDS.findall(head))
    head = _FIELDS.sub(b"", head) + b"X-Request-Timeout: %d.%03d\r\n" % divmod(ms, 1000)
    return head + b"grpc-timeout: %dm\r\n" % min(ms, _MOST_MS) if grpc else head
