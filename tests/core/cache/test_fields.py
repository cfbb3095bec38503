"""Header fields, directives, tags and dates: what they mean, and that no input raises."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.cache.fields import (
    FOREVER,
    Directives,
    Fields,
    format_date,
    members,
    parse_date,
    seconds,
    tags,
)


def control(*values: str) -> Directives:
    return Directives.of(Fields(("Cache-Control", value) for value in values))


@pytest.mark.parametrize(
    ("values", "directives"),
    [
        ([], {}),
        (["max-age=60"], {"max-age": "60"}),
        (["Max-Age=60, PUBLIC"], {"max-age": "60", "public": ""}),
        (["max-age=60", "must-revalidate"], {"max-age": "60", "must-revalidate": ""}),
        (['private="Set-Cookie, X-User", max-age=1'], {"private": "Set-Cookie, X-User", "max-age": "1"}),
        (['max-age="60"'], {"max-age": "60"}),
        (['a="x\\"y, no-store"'], {"a": 'x"y, no-store'}),
        (["max-age=60, max-age=60"], {"max-age": "60"}),
        (["max-age=60, max-age=90"], {"max-age": ""}),  # a contradiction: no argument
        (['private="a", private'], {"private": ""}),
        ([",, ,no-store,,"], {"no-store": ""}),
        (["max-age=60;no-store, no-cache"], {"max-age": "60;no-store", "no-cache": ""}),
        (['max-age=", no-store="5"'], {"max-age": ", no-store=", "no-store": ""}),
        (
            ['max-age=", private, no-cache="'],
            {"max-age": ", private, no-cache=", "private": "", "no-cache": ""},
        ),
        (['private="never closed, no-store'], {"private": "", "no-store": ""}),
    ],
)
def test_directives_are_read(values: list[str], directives: dict[str, str]) -> None:
    assert control(*values) == directives


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("60", 60), ("0060", 60), (str(2**31), FOREVER), ("9" * 6000, FOREVER), ("000000000000", 0)]
    + [(text, None) for text in ("", "-1", "+1", "1.5", "1 ", "²", "١", "abc")],
)
def test_seconds_are_digits_and_have_a_limit(text: str, value: int | None) -> None:
    assert seconds(text) == value


def test_a_lifetime_that_is_no_number_is_zero() -> None:
    assert control("max-age").seconds("max-age") == 0
    assert control("max-age=-5").seconds("max-age") == 0
    assert control("public").seconds("max-age") is None


@given(st.binary(max_size=200))
def test_no_bytes_make_the_readers_raise(data: bytes) -> None:
    text = data.decode("latin-1")
    fields = Fields.of_head(b"HTTP/1.1 200 OK\r\nCache-Control: " + data + b"\r\n" + data)
    for name, argument in Directives.of(fields).items():
        assert name == name.lower()
        assert seconds(argument) is None or 0 <= (seconds(argument) or 0) <= FOREVER
    parse_date(text)
    tags(text)
    members(text)
    assert fields.size >= 0


def test_a_head_is_read_into_fields_with_repeated_ones_joined() -> None:
    fields = Fields.of_head(b"GET / HTTP/1.1\r\nHost: a\r\nACCEPT: x\r\nAccept:\t y \r\nEmpty:\r\n")
    assert list(fields) == [("host", "a"), ("accept", "x"), ("accept", "y"), ("empty", "")]
    assert fields.get("accept") == "x, y"
    assert fields.get("empty") == ""
    assert fields.get("none") is None
    assert "accept" in fields
    assert "accept" not in fields.without(["accept"])


@given(st.integers(0, 253402300799))
def test_a_date_is_written_as_others_write_it_and_read_back(at: int) -> None:
    text = format_date(at)
    assert text == format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
    assert parse_date(text) == at == parsedate_to_datetime(text).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_the_three_forms_of_dates_are_read(text: str) -> None:  # RFC 9110, 5.6.7
    assert parse_date(text) == 784111777


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0",
        "-1",
        "now",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Foo 1994 08:49:37 GMT",
    ],
)
def test_other_texts_are_no_dates(text: str | None) -> None:
    assert parse_date(text) is None


def test_tags_compare_without_their_mark_of_weakness() -> None:
    assert tags('W/"a", "b,c" ,"" junk') == {'"a"', '"b,c"', '""'}
