"""The prefilter: it may only leave out patterns that cannot match."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.core.prefilter import Sieve, pieces_of
from lbkit.core.signatures import SIGNATURES


class Named(NamedTuple):
    pattern: re.Pattern[str]


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        ("union select", {"union select"}),
        ("(?:a1|b2)c", {"a1", "b2"}),
        ("['\"]x", {"'", '"'}),
        (r"\bselect .{0,9} from\b", {"select "}),
        ("a?b", {"b"}),
        ("a{2}", {"a"}),
        (r"[a-z]+", {""}),
        ("abc|", {""}),
        ("(?=abc)", {""}),  # not taken apart
    ],
)
def test_pieces_of_a_pattern(pattern: str, pieces: set[str]) -> None:
    assert pieces_of(pattern) == pieces


def test_every_signature_has_pieces() -> None:
    assert all("" not in pieces_of(signature.pattern.pattern) for signature in SIGNATURES)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda s: str(s.id))
def test_a_text_that_matches_has_a_piece(signature: Named) -> None:
    pieces = pieces_of(signature.pattern.pattern)

    @settings(max_examples=25)
    @given(st.from_regex(signature.pattern))
    def law(text: str) -> None:
        assert any(piece in text for piece in pieces)

    law()


@given(st.text("ab(", max_size=8))
def test_a_sieve_keeps_the_order_and_loses_no_match(text: str) -> None:
    patterns = [Named(re.compile(pattern)) for pattern in ("b", "a|b", r"\(", "ab", "a*")]
    kept = Sieve(patterns).candidates(text)
    assert kept == [one for one in patterns if one in kept]
    assert [one for one in patterns if one.pattern.search(text)] == [
        one for one in kept if one.pattern.search(text)
    ]
