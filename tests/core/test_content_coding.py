"""The choice of a coding, against the rules and the examples of RFC 9110, 12.5.3 and 12.4.2."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.content_coding import Choice, choose, decode, weights

OFFERED = ("br", "zstd", "gzip")
AS_IT_IS = Choice("identity")

TABLE = {
    # the five examples of section 12.5.3
    "compress, gzip": Choice("gzip"),
    "": AS_IT_IS,
    "*": Choice("br"),
    "compress;q=0.5, gzip;q=1.0": Choice("gzip"),
    "gzip;q=1.0, identity; q=0.5, *;q=0": Choice("gzip"),
    # what browsers and tools send
    "gzip, deflate, br, zstd": Choice("br"),
    "gzip, deflate": Choice("gzip"),
    "deflate": AS_IT_IS,
    "identity": AS_IT_IS,
    "gzip, identity": Choice("gzip"),
    # weights; among equals the server prefers
    "br;q=0.5, gzip;q=0.8": Choice("gzip"),
    "br;q=0.8, gzip;q=0.8": Choice("br"),
    "gzip;q=0.2": Choice("gzip"),
    "gzip;q=0.2, identity;q=0.5": AS_IT_IS,
    "gzip;q=0": AS_IT_IS,
    "gzip;q=0.000, br;q=0.0": AS_IT_IS,
    # * stands for what is not named
    "*;q=0.5": Choice("br"),
    "br;q=0, *": Choice("zstd"),
    "gzip;q=0.2, *;q=0.1": Choice("gzip"),
    "*;q=0": AS_IT_IS,
    "*;q=0, gzip": Choice("gzip", required=True),
    # identity refused
    "identity;q=0": AS_IT_IS,
    "identity;q=0, *;q=0.1": Choice("br", required=True),
    "gzip, identity;q=0": Choice("gzip", required=True),
    "gzip, identity;q=0.1, *;q=0": Choice("gzip"),
    # spelling: names have no case, x-gzip is gzip (8.4.1.3), spaces and empty elements are allowed
    "GZip;Q=0.5": Choice("gzip"),
    "x-gzip": Choice("gzip"),
    " , gzip \t;\tq=1 ,,": Choice("gzip"),
    # what is not valid does not count
    "gzip;q=2": AS_IT_IS,
    "gzip;q=0.1234": AS_IT_IS,
    "gzip;q=-1, br;q=0.1": Choice("br"),
    "gzip;level=9": AS_IT_IS,
    "gzip q=1": AS_IT_IS,
    "gzipped": AS_IT_IS,
    "gzip;q=": AS_IT_IS,
}


@pytest.mark.parametrize(("accept", "choice"), TABLE.items())
def test_the_choice_for_a_field(accept: str, choice: Choice) -> None:
    assert choose(accept, OFFERED) == choice


def test_the_servers_order_decides_among_equals() -> None:
    assert choose("gzip, br, zstd", ("zstd", "br")).coding == "zstd"


elements = st.builds(
    "{}{}".format,
    st.sampled_from(["gzip", "br", "zstd", "identity", "*", "other", ""]),
    st.sampled_from(["", ";q=0", ";q=0.3", "; q=0.7", ";q=1", ";q=x"]),
)


@given(st.lists(elements, max_size=8).map(",".join) | st.text(max_size=60))
def test_only_what_is_acceptable_is_chosen(accept: str) -> None:
    coding, required = choose(accept, OFFERED)
    given_weights = weights(accept)
    if coding != "identity":
        weight = given_weights.get(coding, given_weights.get("*", 0))
        assert weight == max(given_weights.get(name, given_weights.get("*", 0)) for name in OFFERED) > 0
        assert weight >= given_weights.get("identity", 0)
    assert not (required and coding == "identity")


# -- decoding ----------------------------------------------------------------------------------------

WRITERS = {
    "gzip": lambda data: gzip.compress(data),
    "x-gzip": lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:]),
    "deflate": zlib.compress,
    "DEFLATE ": lambda data: zlib.compress(data)[2:-4],  # without zlib's header
    "": lambda data: data,
}


@given(st.sampled_from(list(WRITERS)), st.binary(max_size=300), st.integers(0, 400))
def test_what_is_coded_is_decoded_up_to_a_limit(coding: str, data: bytes, longest: int) -> None:
    assert decode(WRITERS[coding](data), coding, longest) == data[:longest]


@given(st.binary(min_size=20, max_size=300), st.integers(1, 300))
def test_a_coded_text_that_is_cut_off_gives_its_beginning(data: bytes, cut: int) -> None:
    found = decode(gzip.compress(data)[:-cut] or b"", "gzip", 1000)
    assert found is None or data.startswith(found)


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\xff"]))
def test_decoding_never_raises(data: bytes, coding: str) -> None:
    found = decode(data, coding, 100)
    assert found is None or len(found) <= 100


def test_a_small_body_that_decodes_to_a_huge_one_is_cut() -> None:
    assert decode(gzip.compress(bytes(10**7)), "gzip", 1000) == bytes(1000)
