"""Limits on frames: counted wherever the bytes are split, and none for a client that behaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_feature

need_feature("http2")

from h2.errors import ErrorCodes
from http2_client import data_frame, headers_frames
from hyperframe.frame import (
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from lbkit.net.http2.guard import FREE_UPDATE, PREFACE, FrameGuard
from lbkit.net.http2.rules import Http2
from lbkit.net.streams.budget import Flood

RULES = Http2(resets=5, control_frames=10, continuations=3, per=1.0)


def guard(rules: Http2 = RULES) -> FrameGuard:
    made = FrameGuard(rules, 1000)
    assert made.feed(PREFACE, 0.0) == PREFACE
    return made


def wire(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


CONTROL: dict[str, Callable[[], Frame]] = {
    "ping": lambda: PingFrame(0, b"12345678"),
    "settings": lambda: SettingsFrame(0),
    "priority": lambda: PriorityFrame(1, depends_on=3, stream_weight=1),
    "unknown": lambda: ExtensionFrame(0xFA, 0),
    "empty data": lambda: data_frame(1),
    "window update": lambda: WindowUpdateFrame(1, 1),
    "goaway": lambda: GoAwayFrame(0),
}


@pytest.mark.parametrize("kind", CONTROL)
def test_a_flood_of_frames_that_cost_nothing_ends(kind: str) -> None:
    watched, frame = guard(), wire(CONTROL[kind]())
    watched.feed(frame * 10, 0.0)
    with pytest.raises(Flood) as raised:
        watched.feed(frame, 0.0)
    assert raised.value.code is None  # the connection asks for less


@pytest.mark.parametrize("kind", CONTROL)
def test_as_many_in_good_time_are_no_flood(kind: str) -> None:
    watched, frame = guard(), wire(CONTROL[kind]())
    for second in range(20):
        watched.feed(frame * 10, float(second))


def test_resets_have_a_limit_of_their_own() -> None:
    watched, frame = guard(), wire(RstStreamFrame(1))
    watched.feed(frame * 5, 0.0)
    with pytest.raises(Flood):
        watched.feed(frame, 0.0)


def test_settings_count_by_what_they_set() -> None:
    watched = guard()
    with pytest.raises(Flood):
        watched.feed(wire(SettingsFrame(0, dict.fromkeys(range(100, 110), 1))), 0.0)


def test_window_updates_are_free_for_what_is_sent() -> None:
    watched, frame = guard(), wire(WindowUpdateFrame(1, 1000))
    for _ in range(1000):
        watched.sent(2 * FREE_UPDATE, cut=True)
        watched.feed(frame * 2, 0.0)


def test_windows_may_be_opened_after_each_small_message() -> None:
    """As gRPC does: the window of the stream and that of the connection."""
    watched = guard()
    updates = wire(WindowUpdateFrame(1, 10), WindowUpdateFrame(0, 10))
    for _ in range(1000):
        watched.sent(10, cut=False)
        watched.feed(updates, 0.0)


def test_an_answer_that_is_taken_in_drops_is_a_flood() -> None:
    watched, frame = guard(), wire(WindowUpdateFrame(1, 1))
    for _ in range(10):
        watched.sent(1, cut=True)
        watched.feed(frame, 0.0)
    watched.sent(1, cut=True)
    with pytest.raises(Flood):
        watched.feed(frame, 0.0)


def test_what_was_sent_long_ago_is_no_licence_for_a_flood() -> None:
    watched = guard()
    watched.sent(10**9, cut=False)
    with pytest.raises(Flood):
        watched.feed(wire(WindowUpdateFrame(1, 1)) * 100, 0.0)


def test_each_request_may_end_with_an_empty_frame() -> None:
    watched = guard()
    for number in range(1, 1000, 2):
        watched.feed(wire(*headers_frames(number, b"x", end_stream=False), data_frame(number, end=True)), 0.0)


def test_a_head_may_go_on_in_so_many_frames() -> None:
    guard().feed(wire(*headers_frames(1, b"x" * 4, size=1)), 0.0)
    with pytest.raises(Flood):
        guard().feed(wire(*headers_frames(1, b"x" * 5, size=1)), 0.0)


def test_a_head_may_be_so_long_whether_it_ends_or_not() -> None:
    watched = guard()
    watched.feed(wire(*headers_frames(1, b"x" * 1000, size=500, whole=False)), 5.0)
    assert watched.head_began == 5.0
    with pytest.raises(Flood):
        watched.feed(wire(*headers_frames(1, b"x" * 1001, size=600)[1:]), 0.0)


def test_a_frame_that_is_too_large_is_refused_before_it_is_here() -> None:
    with pytest.raises(Flood) as raised:
        guard().feed((16_385).to_bytes(3, "big") + bytes((0, 0, 0, 0, 0, 1)), 0.0)
    assert raised.value.code == ErrorCodes.FRAME_SIZE_ERROR


frames = st.lists(
    st.sampled_from(
        [
            wire(data_frame(1, b"x" * 300)),
            wire(GoAwayFrame(0, last_stream_id=7, additional_data=b"bye")),
            wire(PingFrame(0, b"12345678")),
            wire(*headers_frames(1, b"abc", size=1)),
            wire(data_frame(1, end=True)),
        ]
    ),
    max_size=8,
)


@given(frames, st.lists(st.integers(1, 60), min_size=1, max_size=10))
def test_all_but_goaway_is_passed_on_wherever_the_bytes_are_split(
    those: list[bytes], sizes: list[int]
) -> None:
    watched, data = guard(Http2()), b"".join(those)
    goaway = wire(GoAwayFrame(0, last_stream_id=7, additional_data=b"bye"))
    passed, at, turn = b"", 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        passed += watched.feed(data[at : at + size], 0.0)
        at, turn = at + size, turn + 1
    assert passed == b"".join(piece for piece in those if piece != goaway)
    assert watched.leaving == (goaway in those)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_passed_on_or_refused(data: bytes, size: int) -> None:
    watched = guard()
    for at in range(0, len(data), size):
        try:
            watched.feed(data[at : at + size], 0.0)
        except Flood:
            return
