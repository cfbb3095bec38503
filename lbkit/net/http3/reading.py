"""What arrives on the streams of a connection: requests, and the client's control streams."""

from __future__ import annotations

from collections.abc import Iterable

from pylsqpack import Decoder, DecompressionFailed, EncoderStreamError, StreamBlocked

from lbkit.net.http3.frames import (
    CONTROL,
    DATA,
    HEADERS,
    NOT_IN_CONTROL,
    NOT_IN_REQUESTS,
    PUSH,
    QPACK_DECODER,
    QPACK_ENCODER,
    READ_IN_CONTROL,
    SETTINGS,
    Code,
    FrameReader,
    Http3Error,
    check_settings,
    read_varint,
)
from lbkit.net.streams.fields import Field


class Qpack:
    """Reads heads without a dynamic table."""

    def __init__(self) -> None:
        self._decoder = Decoder(0, 0)

    def read(self, number: int, block: bytes) -> list[Field]:
        """Return the fields. Raises Http3Error."""
        try:
            return self._decoder.feed_header(number, block)[1]
        except (DecompressionFailed, StreamBlocked):
            raise Http3Error(Code.QPACK_DECOMPRESSION_FAILED, "a head that cannot be read") from None

    def instruct(self, data: bytes) -> None:
        """Read what the client would do with the dynamic table. Raises Http3Error."""
        try:
            self._decoder.feed_encoder(data)
        except EncoderStreamError:
            raise Http3Error(Code.QPACK_ENCODER_STREAM_ERROR, "there is no dynamic table") from None


class RequestReader:
    """The frames of one request: a head, a body, and perhaps trailers, in this order (4.1)."""

    __slots__ = ("began", "discarding", "frames", "heads")

    def __init__(self, max_head: int, now: float) -> None:
        """`max_head`: bytes of a head, compressed."""
        self.frames = FrameReader({HEADERS: max_head})
        self.heads = 0  # that are complete
        self.began: float | None = now  # until the first one is
        self.discarding = False  # no more is read of it

    def feed(self, data: bytes) -> Iterable[tuple[int, bytes]]:
        """Yield the frames of the request; unknown ones with b"". Raises Http3Error, TooLarge."""
        for kind, payload in self.frames.feed(data):
            if kind in NOT_IN_REQUESTS:
                raise Http3Error(Code.FRAME_UNEXPECTED, "a frame that is not for requests")
            if kind == HEADERS:
                self.heads += 1
                self.began = None
            if (kind == DATA and self.heads != 1) or self.heads > 2:
                raise Http3Error(Code.FRAME_UNEXPECTED, "a request is a head, a body, and trailers")
            yield kind, payload


class ControlReader:
    """The client's streams in one direction: its control stream, and those of QPACK (6.2; RFC 9204, 4.2)."""

    def __init__(self, qpack: Qpack) -> None:
        self._qpack = qpack
        self._frames = FrameReader(READ_IN_CONTROL)
        self._kinds: dict[int, int] = {}  # by stream
        self._begun: dict[int, bytes] = {}  # streams whose kind is not complete
        self.settings = False  # have been received

    def feed(self, number: int, data: bytes, end: bool) -> int:
        """Read what has arrived on a stream; return the number of frames. Raises Http3Error, TooLarge."""
        if (kind := self._kinds.get(number)) is None:
            data = self._begun.pop(number, b"") + data
            read = read_varint(data, 0)
            if read is None:
                if not end:
                    self._begun[number] = data
                return 1
            kind, at = read
            self._open(number, kind)
            data = data[at:]
        if end:
            if kind in (CONTROL, QPACK_ENCODER, QPACK_DECODER):
                raise Http3Error(Code.CLOSED_CRITICAL_STREAM, "the control streams last")
            del self._kinds[number]
        if kind == CONTROL:
            return self._control(data)
        if kind == QPACK_ENCODER and data:
            self._qpack.instruct(data)
        return 1  # what the client acknowledges has not been sent, and other streams are unknown (9)

    def _open(self, number: int, kind: int) -> None:
        if kind == PUSH or (kind <= QPACK_DECODER and kind in self._kinds.values()):
            raise Http3Error(Code.STREAM_CREATION_ERROR, "a stream that must not be, or is there already")
        self._kinds[number] = kind

    def _control(self, data: bytes) -> int:
        count = 0
        for kind, payload in self._frames.feed(data):
            count += 1
            if kind in NOT_IN_CONTROL:
                raise Http3Error(Code.FRAME_UNEXPECTED, "a frame that is not for the control stream")
            if self.settings == (kind == SETTINGS):
                code = Code.FRAME_UNEXPECTED if self.settings else Code.MISSING_SETTINGS
                raise Http3Error(code, "SETTINGS come first, and once")
            if kind == SETTINGS:
                self.settings = True
                check_settings(payload)
        return count

    def reset(self, number: int) -> None:
        """Take note that the client has ended a stream."""
        self._begun.pop(number, None)
        if self._kinds.pop(number, PUSH) in (CONTROL, QPACK_ENCODER, QPACK_DECODER):
            raise Http3Error(Code.CLOSED_CRITICAL_STREAM, "the control streams last")
