"""traceparent and tracestate, as strict as W3C Trace Context, level 1, asks."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from needs import need_feature

from lbkit.net.tracing.context import (
    LONG_MEMBER,
    MOST_MEMBERS,
    MOST_STATE,
    Context,
    drawn,
    new_id,
    parse_parent,
    parse_state,
    read_context,
    stamped,
    with_parent,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01".encode()
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"

hexadecimal = st.sampled_from("0123456789abcdef")
ids = [st.text(hexadecimal, min_size=n, max_size=n).filter(lambda text: text.strip("0")) for n in (32, 16)]
key = st.from_regex(
    r"[a-z][a-z0-9_*/-]{0,20}|[a-z0-9][a-z0-9_*/-]{0,10}@[a-z][a-z0-9_*/-]{0,13}", fullmatch=True
)
value = st.from_regex(r"[ -+\--<>-~]{0,40}[!-+\--<>-~]", fullmatch=True)
members = st.dictionaries(key, value, max_size=MOST_MEMBERS).map(
    lambda found: [f"{k}={v}".encode() for k, v in found.items()]
)


# -- traceparent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        VALID[:-1],
        VALID + b"0",
        VALID + b"-",
        VALID + b"-more",  # version 00 has four parts
        VALID.upper(),
        b"ff" + VALID[2:],
        b"0g" + VALID[2:],
        VALID.replace(b"-", b"_"),
        VALID.replace(TRACE.encode(), b"0" * 32),
        VALID.replace(SPAN.encode(), b"0" * 16),
        b" " + VALID,
        VALID + b"\n",
        VALID + b"," + VALID,
        b"01" + VALID[2:] + b"x",  # of a later version, a fifth part begins with a hyphen
        VALID.replace(b"0af7", "0áf".encode()),
        b"00-" + b"a" * 30_000,
    ],
)
def test_what_is_malformed_is_no_context(value: bytes) -> None:
    assert parse_parent(value) is None


def test_of_a_later_version_the_known_parts_count() -> None:
    for value in (
        b"01" + VALID[2:],
        b"cc" + VALID[2:] + b"-what-the-future-brings",
        b"fe" + VALID[2:] + b"-",
    ):
        assert parse_parent(value) == Context(TRACE, SPAN, True)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_only_the_flag_for_sampled_is_passed_on(flags: str, sampled: bool) -> None:
    context = parse_parent(f"00-{TRACE}-{SPAN}-{flags}".encode())
    assert context == Context(TRACE, SPAN, sampled)
    assert context.fields().endswith(b"-01\r\n" if sampled else b"-00\r\n")


@given(*ids, st.booleans(), members)
def test_what_is_written_is_read_again(
    trace_id: str, span_id: str, sampled: bool, state: list[bytes]
) -> None:
    context = Context(trace_id, span_id, sampled, parse_state(state))
    assert read_context(stamped(HEAD, context)) == context
    assert stamped(stamped(HEAD, context), context) == stamped(HEAD, context)


near_misses = st.builds(
    lambda value, at, by: value[:at] + by + value[at + 1 :],
    st.just(VALID),
    st.integers(0, len(VALID)),
    st.binary(max_size=2),
)


@given(st.one_of(near_misses, st.binary(max_size=80)))
@example(VALID)
def test_no_value_is_taken_that_opentelemetry_does_not_take(value: bytes) -> None:
    need_feature("tracing")
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    ours = parse_parent(value)
    text = value.decode("latin-1")
    theirs = get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": text})
    ).get_span_context()
    if ours is not None:
        assert (f"{theirs.trace_id:032x}", f"{theirs.span_id:016x}") == ours[:2]
        assert theirs.trace_flags.sampled == ours.sampled


def test_of_two_traceparents_none_counts() -> None:
    one = b"traceparent: " + VALID + b"\r\n"
    assert read_context(HEAD + one) == Context(TRACE, SPAN, True)
    assert read_context(HEAD + one.replace(b"tracep", b"TraceP") + b"tracestate: a=b\r\n") == Context(
        TRACE, SPAN, True, b"a=b"
    )
    assert read_context(HEAD + one + one) is None
    assert read_context(HEAD + one + b"Traceparent: \r\n") is None
    assert read_context(HEAD + b"X-traceparent: " + VALID + b"\r\n") is None
    assert read_context(HEAD + b"tracestate: a=b\r\n") is None


# -- tracestate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([b"a=1"], b"a=1"),
        ([b"a=1", b"b=2,c=3"], b"a=1,b=2,c=3"),  # several fields are one list
        ([b" a=1 ,\tb=2 "], b"a=1,b=2"),
        ([b"a=1,,b=2,"], b"a=1,b=2"),
        ([b"", b""], b""),
        ([b"fw529a3039@dt=FfFf;x, b c"], b""),
        ([b"fw529a3039@dt=FfFf;x y"], b"fw529a3039@dt=FfFf;x y"),
        ([b"0a@b=1"], b"0a@b=1"),
        ([b"0a=1"], b""),  # a key without @ begins with a letter
        ([b"A=1"], b""),
        ([b"a@b@c=1"], b""),
        ([b"a="], b""),
        ([b"a=1=2"], b""),
        ([b"a=1,a=2"], b""),
        ([b"a=1", b"a=2"], b""),
        (["a=é".encode()], b""),
        ([b"a" * 256 + b"=1"], b"a" * 256 + b"=1"),
        ([b"a" * 257 + b"=1"], b""),
        ([b"a=" + b"1" * 257], b""),
        ([b"a@b" + b"c" * 13 + b"=1"], b"a@b" + b"c" * 13 + b"=1"),
        ([b"a@b" + b"c" * 14 + b"=1"], b""),
    ],
)
def test_a_state_is_passed_on_whole_or_not_at_all(values: list[bytes], kept: bytes) -> None:
    if len(kept) <= MOST_STATE:
        assert parse_state(values) == kept


def test_too_many_members_are_no_state() -> None:
    some = [b"k%d=1" % i for i in range(MOST_MEMBERS)]
    assert parse_state([b",".join(some)]) == b",".join(some)
    assert parse_state([b",".join([*some, b"more=1"])]) == b""
    assert parse_state([b"," * 30_000]) == b""


def test_of_a_long_state_long_members_go_first_and_then_the_oldest() -> None:
    long = b"long=" + b"x" * LONG_MEMBER
    short = [b"k%02d=%b" % (i, b"y" * 56) for i in range(9)]  # of 60 characters
    kept = parse_state([b",".join([long, *short])])
    assert kept == b",".join(short[:8])
    assert len(kept) <= MOST_STATE


@given(members)
def test_the_state_passed_on_is_a_part_of_what_came_in_its_order(state: list[bytes]) -> None:
    kept = parse_state(state)
    assert len(kept) <= MOST_STATE
    found = iter(state)
    assert all(member in found for member in kept.split(b",") if member)
    assert parse_state([kept]) == kept
    if sum(map(len, state)) + len(state) <= MOST_STATE:
        assert kept == b",".join(state)


@given(st.lists(st.binary(max_size=600), max_size=4))
def test_no_state_breaks_the_head(values: list[bytes]) -> None:
    kept = parse_state(values)
    assert kept.isascii()
    assert not {b"\r", b"\n"} & {bytes([c]) for c in kept}


# -- ids, and the draw ---------------------------------------------------------------------------------


def test_another_parent_takes_the_place_of_the_first() -> None:
    head = stamped(HEAD, Context(TRACE, SPAN, True, b"a=b")) + b"X-More: 1\r\n"
    again = with_parent(head, TRACE, "1" * 16)
    assert read_context(again) == Context(TRACE, "1" * 16, True, b"a=b")
    assert again.replace(b"1" * 16, SPAN.encode()) == head
    assert with_parent(HEAD, TRACE, "1" * 16) == HEAD  # a filter may have removed it


def test_an_id_is_never_zero() -> None:
    class Zeros(random.Random):
        def getrandbits(self, k: int) -> int:
            return 0

    assert new_id(Zeros(), 16) == "0000000000000001"
    assert len(new_id(random.Random(1), 32)) == 32


@given(ids[0], st.floats(0, 1))
def test_every_system_draws_the_same_traces(trace_id: str, ratio: float) -> None:
    need_feature("tracing")
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    theirs = TraceIdRatioBased(ratio).should_sample(None, int(trace_id, 16), "")
    assert drawn(trace_id, ratio) == theirs.decision.is_sampled()
    assert drawn(trace_id, 1.0)
    assert not drawn(trace_id, 0.0)
