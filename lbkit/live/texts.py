"""Texts of a wanted length, which compress about as well as English does."""

from __future__ import annotations

from functools import lru_cache

from lbkit.draws import stream
from lbkit.mix import MAX_SIZE

WORDS = tuple(
    """the of and to in is that for it as was with be by on not he his but at are this have from or had an
    which one you were all her she there would their we him been has when who will no more if out so up said
    what its about than into them can only other time new some could these two may first then do any like my
    now over such our man me even most made after also did many before must well back through years where
    balancer server request answer client queue weight health check route cache limit latency""".split()  # noqa: SIM905
)


def wanted_size(text: bytes) -> int:
    """Return the bytes of the answer that a request asks for; 0 if it does not say."""
    return min(int(text), MAX_SIZE) if text.isdigit() and len(text) < 9 else 0


@lru_cache(32)
def text_of(size: int) -> bytes:
    """Return a text of this many bytes, the same each time."""
    draw = stream(size, "text").choices
    words = " ".join(draw(WORDS, k=size // 3 + 1))  # with its space, a word has three bytes or more
    return words.encode()[:size]
