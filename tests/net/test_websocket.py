"""Frames of a WebSocket are followed wherever the bytes are split."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from lbkit.net.websocket import GOING_AWAY, Frames


def frame(length: int, masked: bool = False, opcode: int = 0x81) -> bytes:
    """A frame as RFC 6455, section 5.2 has it."""
    mask = 0x80 if masked else 0
    if length < 126:
        head = bytes((opcode, mask | length))
    elif length < 65536:
        head = bytes((opcode, mask | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((opcode, mask | 127)) + length.to_bytes(8, "big")
    return head + (b"mask" if masked else b"") + b"\x81" * length


lengths = st.integers(0, 300) | st.sampled_from([125, 126, 127, 65535, 65536])
frames = st.lists(st.tuples(lengths, st.booleans(), st.sampled_from([0x01, 0x81, 0x82, 0x89])), max_size=6)


@given(frames, st.lists(st.integers(1, 700), min_size=1, max_size=20))
@example([(0, False, 0x81)], [1])
@example([(65536, True, 0x82)], [3])
def test_it_is_between_frames_where_one_ends_and_nowhere_else(
    those: list[tuple[int, bool, int]], pieces: list[int]
) -> None:
    data, ends = b"", {0}
    for each in those:
        data += frame(*each)
        ends.add(len(data))
    follower, at = Frames(), 0
    while at < len(data):
        piece = data[at : at + pieces[at % len(pieces)]]
        follower.feed(piece)
        at += len(piece)
        assert follower.between == (at in ends)


def test_the_farewell_is_a_whole_frame_itself() -> None:
    follower = Frames()
    follower.feed(GOING_AWAY)
    assert follower.between
    assert int.from_bytes(GOING_AWAY[2:], "big") == 1001
