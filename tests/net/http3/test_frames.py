"""Frames of HTTP/3: read as written, however the bytes are split, and never more held than may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_feature

need_feature("http3")

from lbkit.net.http3.frames import (
    CONTROL,
    DATA,
    GOAWAY,
    HEADERS,
    MAX_PUSH_ID,
    PUSH,
    QPACK_DECODER,
    QPACK_ENCODER,
    SETTINGS,
    Code,
    FrameReader,
    Http3Error,
    TooLarge,
    check_settings,
    frame,
    read_varint,
    settings,
    varint,
)
from lbkit.net.http3.reading import ControlReader, Qpack

EMPTY = settings({})


@given(st.integers(0, 2**62 - 1))
def test_integers_are_read_as_written(value: int) -> None:
    data = varint(value)
    assert read_varint(data, 0) == (value, len(data))
    assert all(read_varint(data[:cut], 0) is None for cut in range(len(data)))


@pytest.mark.parametrize(("value", "size"), [(63, 1), (64, 2), (16_383, 2), (16_384, 4), (2**30, 8)])
def test_integers_are_as_short_as_can_be(value: int, size: int) -> None:
    assert len(varint(value)) == size


def test_an_integer_has_62_bits() -> None:
    with pytest.raises(ValueError, match="too large"):
        varint(2**62)


FRAMES = st.lists(
    st.tuples(st.sampled_from((DATA, HEADERS, 0x21, 2**40)), st.binary(max_size=300)), max_size=8
)


@given(FRAMES, st.data())
def test_frames_are_the_same_however_the_bytes_are_split(
    written: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    wire = b"".join(frame(kind, payload) for kind, payload in written)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader, found = FrameReader({HEADERS: 300}), []
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += list(reader.feed(wire[begin:end]))
    assert not reader.midway
    heads = [payload for kind, payload in found if kind == HEADERS]
    assert heads == [payload for kind, payload in written if kind == HEADERS]
    body = b"".join(payload for kind, payload in found if kind == DATA)
    assert body == b"".join(payload for kind, payload in written if kind == DATA)
    unknown = [kind for kind, _ in found if kind not in (DATA, HEADERS)]
    assert unknown == [kind for kind, _ in written if kind not in (DATA, HEADERS)]


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    reader = FrameReader({HEADERS: 20})
    try:
        for piece in pieces:
            list(reader.feed(piece))
    except TooLarge:
        return
    assert len(reader._payload) <= 20
    assert len(reader._head) < 16


def test_a_frame_that_is_too_large_is_refused_by_its_length_alone() -> None:
    with pytest.raises(TooLarge):
        list(FrameReader({HEADERS: 20}).feed(varint(HEADERS) + varint(21)))


# -- the client's streams in one direction ------------------------------------------------------------


WRONG = {
    "no SETTINGS first": (varint(CONTROL) + frame(GOAWAY, b"\0"), Code.MISSING_SETTINGS),
    "unknown frames do not count as SETTINGS": (varint(CONTROL) + frame(0x21, b""), Code.MISSING_SETTINGS),
    "SETTINGS twice": (varint(CONTROL) + 2 * EMPTY, Code.FRAME_UNEXPECTED),
    "DATA": (varint(CONTROL) + EMPTY + frame(DATA, b""), Code.FRAME_UNEXPECTED),
    "a frame of HTTP/2": (varint(CONTROL) + EMPTY + frame(0x8, b""), Code.FRAME_UNEXPECTED),
    "a push": (varint(PUSH), Code.STREAM_CREATION_ERROR),
    "a table": (varint(QPACK_ENCODER) + b"\x3f\xe1\x1f", Code.QPACK_ENCODER_STREAM_ERROR),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_must_not_be_on_these_streams(what: str) -> None:
    data, code = WRONG[what]
    with pytest.raises(Http3Error) as raised:
        ControlReader(Qpack()).feed(2, data, False)
    assert raised.value.code == code


def test_each_control_stream_is_there_once_and_lasts() -> None:
    for again in (
        lambda reader: reader.feed(6, varint(CONTROL), False),
        lambda reader: reader.feed(2, b"", True),
        lambda reader: reader.reset(2),
    ):
        reader = ControlReader(Qpack())
        reader.feed(2, varint(CONTROL) + EMPTY, False)
        with pytest.raises(Http3Error):
            again(reader)


def test_usual_streams_are_read() -> None:
    reader = ControlReader(Qpack())
    assert reader.feed(2, b"", False) == 1
    wire = varint(CONTROL) + settings({0x21: 7, 6: 9000}) + frame(MAX_PUSH_ID, b"\x08") + frame(0x40, b"x")
    assert sum(reader.feed(2, wire[i : i + 1], False) for i in range(len(wire))) >= 3
    assert reader.settings
    reader.feed(6, varint(QPACK_DECODER) + b"\x81", False)
    reader.feed(10, varint(0x21) + b"grease", True)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x06", Code.FRAME_ERROR),
        (b"\x40", Code.FRAME_ERROR),
        (b"\x02\x01", Code.SETTINGS_ERROR),
        (b"\x06\x01\x06\x01", Code.SETTINGS_ERROR),
    ],
)
def test_settings_that_are_wrong(payload: bytes, code: Code) -> None:
    with pytest.raises(Http3Error) as raised:
        check_settings(payload)
    assert raised.value.code == code


@given(st.integers(0, 3), st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_on_control_streams_are_read_or_refused(kind: int, pieces: list[bytes]) -> None:
    reader = ControlReader(Qpack())
    try:
        reader.feed(2, varint(kind) + frame(SETTINGS, b""), False)
        for piece in pieces:
            reader.feed(2, piece, False)
    except (Http3Error, TooLarge):
        pass
