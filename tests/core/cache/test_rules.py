"""What may be stored, and for how long it is fresh: RFC 9111 case by case."""

from __future__ import annotations

from typing import Any

import pytest

from lbkit.core.cache import CacheRules, Fields, Request, Response, why_not_stored
from lbkit.core.cache.fields import format_date
from lbkit.core.cache.rules import kept_fields, lifetime

NOW = 1_800_000_000.0
RULES = CacheRules()


def said(control: str, **fields: str) -> Fields:
    pairs = [("cache-control", control)] if control else []
    return Fields(pairs + [(name.replace("_", "-"), value) for name, value in fields.items()])


STORED = [
    # method, request's Cache-Control, Authorization, status, response's Cache-Control, other fields, stored?
    ("GET", "", False, 200, "max-age=60", {}, True),
    ("GET", "", False, 200, "", {}, True),  # heuristically: 200
    ("GET", "", False, 404, "", {}, True),
    ("GET", "", False, 302, "", {}, False),
    ("GET", "", False, 302, "max-age=60", {}, True),
    ("GET", "", False, 302, "", {"expires": "0"}, True),  # it may be stored, though it is stale
    ("GET", "", False, 500, "", {}, False),
    ("GET", "", False, 503, "public", {}, True),
    ("GET", "", False, 599, "s-maxage=1", {}, True),  # explicit freshness: any final status
    ("GET", "", False, 599, "max-age=1, must-understand", {}, False),
    ("GET", "", False, 200, "no-store, must-understand, max-age=1", {}, True),  # 5.2.2.3
    ("GET", "", False, 206, "max-age=60", {}, False),
    ("GET", "", False, 304, "max-age=60", {}, False),
    ("GET", "", False, 103, "max-age=60", {}, False),
    ("HEAD", "", False, 200, "max-age=60", {}, False),
    ("POST", "", False, 200, "max-age=60", {}, False),
    ("get", "", False, 200, "max-age=60", {}, False),  # methods are case-sensitive
    ("GET", "no-store", False, 200, "max-age=60", {}, False),
    ("GET", "no-cache", False, 200, "max-age=60", {}, True),
    ("GET", "", False, 200, "no-store", {}, False),
    ("GET", "", False, 200, "max-age=60, No-Store", {}, False),
    ("GET", "", False, 200, "no-cache", {}, True),  # stored, but validated at each use
    ("GET", "", False, 200, "private, max-age=60", {}, False),
    ("GET", "", False, 200, 'private="X-User", max-age=60', {}, True),
    ("GET", "", False, 200, 'private="", max-age=60', {}, False),
    ("GET", "", False, 200, 'private="Cache-Control", max-age=60', {}, False),  # it hides what we decide by
    ("GET", "", True, 200, "max-age=60", {}, False),
    ("GET", "", True, 200, "max-age=60, public", {}, True),  # 3.5
    ("GET", "", True, 200, "s-maxage=60", {}, True),
    ("GET", "", True, 200, "max-age=60, must-revalidate", {}, True),
    ("GET", "", True, 200, "private, must-revalidate", {}, False),
    ("GET", "", False, 200, "max-age=60", {"vary": "*"}, False),
    ("GET", "", False, 200, "max-age=60", {"vary": "Accept, *"}, False),
    ("GET", "", False, 200, "max-age=60", {"set-cookie": "a=b"}, False),
    ("GET", "", False, 200, 'max-age=60, private="Set-Cookie"', {"set-cookie": "a=b"}, True),
]


@pytest.mark.parametrize(("method", "asked", "authorised", "status", "control", "fields", "stored"), STORED)
def test_what_may_be_stored(
    method: str,
    asked: str,
    authorised: bool,
    status: int,
    control: str,
    fields: dict[str, str],
    stored: bool,
) -> None:
    own = said(asked, authorization="Basic YTpi") if authorised else said(asked)
    request = Request(method, "http://a/", own)
    response = Response(status, said(control, **fields))
    why = why_not_stored(request, response, RULES)
    assert (why == "") is stored, why


def test_the_response_to_a_get_with_a_body_is_not_stored() -> None:
    for fields, stored in (
        ({"content-length": "0"}, True),
        ({"content-length": "5"}, False),
        ({"transfer-encoding": "chunked"}, False),
    ):
        request = Request("GET", "http://a/", Fields(fields.items()))
        assert (why_not_stored(request, Response(200, said("max-age=60")), RULES) == "") is stored


def test_cookies_are_stored_only_if_the_rules_say_so() -> None:
    response = Response(200, said("max-age=60", set_cookie="a=b"))
    assert why_not_stored(Request("GET", "http://a/"), response, RULES) == "the response sets a cookie"
    assert why_not_stored(Request("GET", "http://a/"), response, CacheRules(cookies=True)) == ""


LIFETIMES: list[tuple[str, dict[str, float | str], float]] = [
    ("s-maxage=10, max-age=20", {"expires": NOW + 30}, 10),
    ("max-age=20", {"expires": NOW + 30}, 20),
    ("", {"expires": NOW + 30}, 30),
    ("", {"expires": NOW - 30}, 0),
    ("", {"expires": "0"}, 0),
    ("max-age=x", {"expires": NOW + 30}, 0),  # 4.2.1: invalid freshness is stale
    ("max-age=10, max-age=20", {}, 0),
    ("", {"last-modified": NOW - 1000}, 100),  # a tenth
    ("", {"last-modified": NOW - 10**8}, 86_400),
    ("", {"last-modified": NOW + 1000}, 0),
    ("", {}, 0),
]


@pytest.mark.parametrize(("control", "fields", "wanted"), LIFETIMES)
def test_how_long_a_response_is_fresh(control: str, fields: dict[str, float | str], wanted: float) -> None:
    written = {n: v if isinstance(v, str) else format_date(v) for n, v in fields.items()}
    response = Response(200, Fields([*said(control), *written.items()]))
    assert lifetime(response, NOW, RULES) == wanted


def test_only_some_statuses_are_fresh_by_heuristics() -> None:
    modified = format_date(NOW - 1000)
    assert lifetime(Response(302, said("", last_modified=modified)), NOW, RULES) == 0
    assert lifetime(Response(302, said("public", last_modified=modified)), NOW, RULES) == 100


def test_fields_of_the_connection_and_fields_that_are_private_are_not_stored() -> None:
    fields = Fields(
        [
            ("Connection", "close, X-Hop, Cache-Control"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authenticate", "Basic"),
            ("Cache-Control", 'private="X-User", no-cache="Set-Cookie", max-age=9'),
            ("X-User", "ann"),
            ("Set-Cookie", "a=b"),
            ("X-Other", "2"),
        ]
    )
    assert [name for name, _ in kept_fields(fields)] == ["cache-control", "x-other"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bytes": 0}, "max_bytes is 0: use a whole number of at least 1"),
        ({"max_variants": 1.5}, "max_variants is 1.5: use a whole number of at least 1"),
        ({"heuristic": 2}, "heuristic is 2: use a number at least 0 and at most 1"),
        ({"stale_if_error": -1}, "stale_if_error is -1: use a number at least 0"),
    ],
)
def test_wrong_rules_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CacheRules(**options)


def test_an_unknown_rule_names_the_likely_one() -> None:
    with pytest.raises(TypeError, match="max_bytes"):
        CacheRules(**{"max_byte": 1})
