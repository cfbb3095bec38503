"""Clients decode what the proxy's encoders make."""

from __future__ import annotations

import pytest

from lbkit.clients.decoding import DECODERS, Decoding
from lbkit.compression import CODINGS, Compression
from lbkit.live.texts import text_of, wanted_size
from lbkit.needs import why_not
from lbkit.net.filters.compress import ENCODERS

TEXT = text_of(50_000)


def test_every_coding_has_its_encoder_and_its_decoder() -> None:
    assert CODINGS.keys() == ENCODERS.keys() == DECODERS.keys()


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_saved_is_counted(coding: str) -> None:
    if (needs := CODINGS[coding].needs) and (reason := why_not(needs)):
        pytest.skip(reason)
    rules = Compression(codings=(coding,))
    encoder = ENCODERS[coding](rules.level(coding))
    body = encoder.piece(TEXT[:1000]) + encoder.last(TEXT[1000:])
    decoding = Decoding(rules)
    decoding.count({"content-encoding": coding}, body)
    decoding.count({}, b"as it is")
    assert decoding.facts() == {
        "compressed": 1,
        "bytes": len(body) + 8,
        "content_bytes": len(TEXT) + 8,
    }
    assert 0.2 < len(body) / len(TEXT) < 0.5  # as English


def test_a_broken_answer_is_an_error() -> None:
    decoding = Decoding(Compression())
    with pytest.raises(ValueError, match="the answer is no gzip"):
        decoding.count({"content-encoding": "gzip"}, b"broken")
    with pytest.raises(ValueError, match="the answer is no deflate"):
        decoding.count({"content-encoding": "deflate"}, b"not asked for")


def test_texts_are_the_same_each_time_and_as_long_as_wanted() -> None:
    for size in (1, 2, 3, 1000, 65_537):
        assert len(text_of(size)) == size
    assert text_of(1000) == text_of(1000)
    assert [wanted_size(text) for text in (b"", b"x", b"-1", b"12", b"99999999", b"1" * 5000)] == [
        *(0, 0, 0, 12, 10_000_000, 0)
    ]
