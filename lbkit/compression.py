"""Compression of answers, as data: the same for experiments and the proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs
from attrs import field, frozen

from lbkit.checks import whole, word
from lbkit.core.options import named_fields
from lbkit.core.text import unknown
from lbkit.needs import why_not

EFFORTS = ("fast", "balanced", "best")


class Coding(NamedTuple):
    levels: tuple[int, int, int]  # of each of EFFORTS
    needs: str = ""  # a feature of `lbkit.needs`


# By their names in Accept-Encoding. The levels of zstd keep to windows of 8 MiB, as RFC 9659 requires.
CODINGS = {
    "gzip": Coding((1, 6, 9)),
    "br": Coding((1, 5, 7), "brotli"),
    "zstd": Coding((1, 3, 9), "zstd"),
}
# What is compressed already, such as image/png, would only cost time.
TYPES = (
    *("text/*", "application/json", "application/javascript", "application/xml", "application/wasm"),
    *("application/*+json", "application/*+xml", "image/svg+xml", "font/ttf", "font/otf"),
)
_TYPE = re.compile(r"[\w!#$&^.*+-]+/[\w!#$&^.*+-]+")


def _texts(what: Iterable[str]) -> Any:
    return tuple(what) if isinstance(what, Iterable) and not isinstance(what, str) else what


@named_fields
@frozen
class Compression:
    """Which answers are compressed, and how.

    `codings`: those offered, the preferred one first; "br" and "zstd" need packages. `minimum`: bytes of the
    shortest content that is worth it (an unknown length counts as long). `types`: of contents, with * for any
    letters. `effort`: "fast", "balanced" or "best", which takes several times as long for a few percent.
    """

    codings: tuple[str, ...] = field(default=("gzip",), converter=_texts)
    minimum: int = field(default=1024, validator=whole(0))
    types: tuple[str, ...] = field(default=TYPES, converter=_texts)
    effort: str = field(default="balanced", validator=word(EFFORTS))

    @codings.validator
    def _known(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or not value or not all(isinstance(name, str) for name in value):
            raise ValueError(f'codings is {value!r}: use a list such as ["br", "gzip"]')
        faults = []
        for name in value:
            if name not in CODINGS:
                faults.append(f"codings: {unknown(name, CODINGS, 'coding')}")
            elif (needs := CODINGS[name].needs) and (reason := why_not(needs)):
                faults.append(f"codings has {name!r}: {reason}")
        if faults:
            raise ValueError("\n".join(faults))

    @types.validator
    def _media_types(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple):
            raise ValueError(f'types is {value!r}: use a list such as ["text/*"]')
        for one in value:
            if not isinstance(one, str) or not _TYPE.fullmatch(one):
                raise ValueError(f"types has {one!r}: use types of content, such as text/html or text/*")

    def level(self, coding: str) -> int:
        """Return the level of a coding for the effort, as its library counts."""
        return CODINGS[coding].levels[EFFORTS.index(self.effort)]
