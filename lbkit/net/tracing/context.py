"""The context of a trace in a request's head: `traceparent` and `tracestate`.

(W3C Trace Context, level 1, w3.org/TR/trace-context-1.) What is malformed is not repaired: the proxy begins a
new trace, as the standard asks. So a value that is passed on is one that was checked.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

MOST_MEMBERS = 32  # of a tracestate; one with more is dropped (3.3.1.1)
MOST_STATE = 512  # characters of a tracestate that are passed on (3.3.1.5)
LONG_MEMBER = 128  # characters; longer members go first where they are too many (3.3.1.5)

_FIELDS = re.compile(rb"\r\n(traceparent|tracestate):[ \t]*([^\r\n]*)", re.IGNORECASE)
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_REST = rb"[a-z0-9_*/-]"
_MEMBER = re.compile(
    rb"([a-z]%b{0,255}|[a-z0-9]%b{0,240}@[a-z]%b{0,13})=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
    % (_REST, _REST, _REST)
)
_SAMPLED = 1
_LOWER_HALF = 1 << 64


class Context(NamedTuple):
    """Where a request stands in a trace. Ids are hexadecimal, as in the field."""

    trace_id: str  # 32 digits
    span_id: str  # 16 digits: the sender's span, which is the parent of what follows
    sampled: bool  # whoever began the trace wants it recorded
    state: bytes = b""  # the members of tracestate, checked, for systems that know them

    def fields(self) -> bytes:
        """Return the header fields, each with its CRLF; flags but `sampled` are 0 (3.2.2.5)."""
        parent = b"traceparent: 00-%b-%b-0%d\r\n" % (
            self.trace_id.encode(),
            self.span_id.encode(),
            self.sampled,
        )
        return parent + b"tracestate: %b\r\n" % self.state if self.state else parent


def read_context(head: bytes) -> Context | None:
    """Return the context in a request's head; None without one, or where it is malformed."""
    parents: list[bytes] = []
    states: list[bytes] = []
    for name, value in _FIELDS.findall(head):
        (parents if len(name) == len("traceparent") else states).append(value.rstrip(b" \t"))
    if len(parents) != 1:  # of several, none is the right one
        return None
    context = parse_parent(parents[0])
    return context._replace(state=parse_state(states)) if context and states else context


def parse_parent(value: bytes) -> Context | None:
    """Return the context in the value of a traceparent; None for a malformed one.

    Of a version to come, the first four parts count. (3.2.2 and 4.3, "Versioning of traceparent".)"""
    found = _PARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not (trace_id.strip(b"0") and span_id.strip(b"0")):  # all zeros mean: none
        return None
    return Context(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED))


def parse_state(values: list[bytes]) -> bytes:
    """Return the value of tracestate to pass on, from those of all its fields; empty if it is malformed.

    (3.3.) The first members, which are the latest, are kept where not all fit into MOST_STATE characters."""
    members = [member for one in b",".join(values).split(b",") if (member := one.strip(b" \t"))]
    if len(members) > MOST_MEMBERS:
        return b""
    keys = [found[1] for member in members if (found := _MEMBER.fullmatch(member))]
    if len(keys) < len(members) or len(set(keys)) < len(keys):
        return b""
    if _size(members) > MOST_STATE:
        members = [member for member in members if len(member) <= LONG_MEMBER]
    while _size(members) > MOST_STATE:
        members.pop()
    return b",".join(members)


def _size(members: list[bytes]) -> int:
    return sum(map(len, members)) + len(members) - 1


def stamped(head: bytes, context: Context) -> bytes:
    """Return the head with this context, in place of what it had."""
    return _FIELDS.sub(b"", head) + context.fields()


def with_parent(head: bytes, trace_id: str, span_id: str) -> bytes:
    """Return a head that has the context of this trace with another parent; unchanged without the context."""
    before, mark, after = head.partition(b"\r\ntraceparent: 00-%b-" % trace_id.encode())
    return b"%b%b%b%b" % (before, mark, span_id.encode(), after[16:]) if mark else head


def new_id(rng: random.Random, digits: int) -> str:
    """Return an id of so many hexadecimal digits, which is not 0."""
    return (rng.getrandbits(4 * digits) or 1).to_bytes(digits // 2).hex()


def drawn(trace_id: str, ratio: float) -> bool:
    """Return whether a trace is among the share `ratio` of all: every system that asks decides the same.

    (OpenTelemetry's TraceIdRatioBased, which looks at the lower half of the id.)"""
    return int(trace_id[16:], 16) < ratio * _LOWER_HALF
