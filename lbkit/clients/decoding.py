"""What compression saves, as clients count it: the bytes that come, and those of the content."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from lbkit.compression import Compression


def _gunzip(data: bytes) -> bytes:
    return zlib.decompress(data, 31)


def _brotli(data: bytes) -> bytes:
    import brotli

    content: bytes = brotli.decompress(data)
    return content


def _zstd(data: bytes) -> bytes:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(data) as reader:  # of a stream that tells no length
        content: bytes = reader.read()
    return content


DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gunzip, "br": _brotli, "zstd": _zstd}


class Decoding:
    """Decodes each answer, as a browser does, and counts."""

    def __init__(self, rules: Compression) -> None:
        self.accept = ", ".join(rules.codings)
        self.compressed = self.received = self.content = 0

    def count(self, fields: dict[str, str], body: bytes) -> None:
        """Count an answer. Raises ValueError for one that cannot be decoded."""
        coding = fields.get("content-encoding", "")
        content = len(body)
        if coding:
            try:
                content = len(DECODERS[coding](body))
            except Exception as error:  # each library has its own
                raise ValueError(f"the answer is no {coding}: {error}") from None
        self.compressed += bool(coding)
        self.received += len(body)
        self.content += content

    def facts(self) -> dict[str, Any]:
        return {"compressed": self.compressed, "bytes": self.received, "content_bytes": self.content}
