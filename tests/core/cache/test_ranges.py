"""Ranges of stored responses: what RFC 9110 says, and that a part is always within the body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.cache import CacheRules, Fields, Part, Request, Response, Stored, part
from lbkit.core.cache.fields import format_date

NOW = 1_800_000_000.0


def stored(size: int = 100, status: int = 200, modified: float = NOW - 9) -> Stored[bytes]:
    fields = [("etag", '"1"'), ("last-modified", format_date(modified)), ("date", format_date(NOW))]
    response = Response(status, Fields(fields))
    return Stored(Request("GET", "http://a/"), response, bytes(size), NOW, NOW, CacheRules())


def get(value: str, if_range: str | None = None, method: str = "GET") -> Request:
    fields = [("range", value)] + ([("if-range", if_range)] if if_range is not None else [])
    return Request(method, "http://a/", Fields(fields))


@pytest.mark.parametrize(
    ("value", "wanted", "content_range"),
    [
        ("bytes=0-9", (0, 10), "bytes 0-9/100"),
        ("Bytes=90-", (90, 100), "bytes 90-99/100"),
        ("bytes=90-1000", (90, 100), "bytes 90-99/100"),
        ("bytes=-30", (70, 100), "bytes 70-99/100"),
        ("bytes=-1000", (0, 100), "bytes 0-99/100"),
        ("bytes=100-", (100, 100), "bytes */100"),
        ("bytes=-0", (100, 100), "bytes */100"),
    ],
)
def test_one_range_is_a_part(value: str, wanted: tuple[int, int], content_range: str) -> None:
    found = part(get(value), stored())
    assert found
    assert (found.first, found.end) == wanted
    assert found.content_range == content_range
    assert found.status == (206 if wanted[0] < wanted[1] else 416)


@pytest.mark.parametrize(
    "value",
    ["", "bytes=", "bytes=-", "bytes=9-1", "bytes=0-1,5-6", "lines=0-9", "bytes=a-b", "bytes=" + "9" * 99],
)
def test_other_ranges_get_the_whole(value: str) -> None:
    assert part(get(value), stored()) is None


def test_only_a_get_of_a_200_has_parts() -> None:
    assert part(get("bytes=0-1", method="HEAD"), stored()) is None
    assert part(get("bytes=0-1"), stored(status=404)) is None


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ('"1"', True),
        ('"2"', False),
        ('W/"1"', False),
        (format_date(NOW - 9), True),
        (format_date(NOW), False),
        ("soon", False),
        ("", False),
    ],
)
def test_if_range_has_to_name_this_response(condition: str, applies: bool) -> None:
    assert (part(get("bytes=0-1", condition), stored()) is not None) is applies


def test_a_date_of_the_same_second_is_not_good_enough_for_if_range() -> None:
    assert part(get("bytes=0-1", format_date(NOW)), stored(modified=NOW)) is None


@given(st.text("bytes=-0129, ", max_size=20), st.integers(0, 30))
def test_a_part_is_within_the_body(value: str, size: int) -> None:
    found = part(get("bytes=" + value), stored(size))
    assert found is None or (0 <= found.first <= found.end <= found.total == size)
    assert found is None or isinstance(found, Part)
