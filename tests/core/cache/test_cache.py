"""Decisions on requests: hits, stale ones, validation, variants, invalidation."""

from __future__ import annotations

import pytest

from lbkit.core.cache import (
    Cache,
    CacheRules,
    Fields,
    Forward,
    Landing,
    Request,
    Response,
    Stored,
    Verdict,
    not_modified,
    of_a_304,
    to_origin,
)
from lbkit.core.cache.fields import format_date

NOW = 1_800_000_000.0
URI = "http://a/x"


def get(control: str = "", uri: str = URI, method: str = "GET", **fields: str) -> Request:
    pairs = [("cache-control", control)] if control else []
    return Request(method, uri, Fields(pairs + [(n.replace("_", "-"), v) for n, v in fields.items()]))


def ok(control: str = "max-age=60", status: int = 200, **fields: str) -> Response:
    pairs = [("cache-control", control)] if control else []
    return Response(status, Fields(pairs + [(n.replace("_", "-"), v) for n, v in fields.items()]))


def filled(
    response: Response, request: Request | None = None, rules: CacheRules | None = None
) -> Cache[bytes]:
    cache: Cache[bytes] = Cache(rules)
    stored, why = cache.store(request or get(), response, b"body", NOW, NOW)
    assert stored, why
    return cache


def only(cache: Cache[bytes]) -> Stored[bytes]:
    (stored,) = cache.entries
    return stored


H, V, S, M, U = Verdict.HIT, Verdict.VALIDATE, Verdict.STALE, Verdict.MISS, Verdict.UNAVAILABLE
SWR = "max-age=60, stale-while-revalidate=30"

LOOKUPS = [
    # response's Cache-Control, request's, age, verdict, why it is forwarded
    ("max-age=60", "", 59, H, None),
    ("max-age=60", "", 60, V, Forward.STALE),  # fresh while lifetime > age
    ("s-maxage=10, max-age=60", "", 10, V, Forward.STALE),
    ("no-cache, max-age=60", "", 1, V, Forward.STALE),
    ('no-cache="X-User", max-age=60', "", 1, H, None),
    ("max-age=60", "no-cache", 1, V, Forward.REQUEST),
    ("max-age=60", "max-age=10", 11, V, Forward.REQUEST),
    ("max-age=60", "max-age=10", 10, H, None),
    ("max-age=60", "min-fresh=20", 41, V, Forward.REQUEST),
    ("max-age=60", "min-fresh=20", 40, H, None),
    ("max-age=60", "max-stale", 900, H, None),
    ("max-age=60", "max-stale=20", 80, H, None),
    ("max-age=60", "max-stale=20", 81, V, Forward.STALE),
    ("max-age=60, must-revalidate", "max-stale", 61, V, Forward.STALE),
    ("max-age=60, proxy-revalidate", "max-stale", 61, V, Forward.STALE),
    ("s-maxage=60", "max-stale", 61, V, Forward.STALE),  # 5.2.2.10
    ("no-cache", "max-stale", 61, V, Forward.STALE),
    (SWR, "", 89, S, Forward.STALE),
    (SWR, "", 90, V, Forward.STALE),
    (SWR, "max-age=999", 70, V, Forward.STALE),  # 5.2.1.1: no stale ones for this client
    (SWR + ", must-revalidate", "", 70, V, Forward.STALE),
    ("max-age=60", "only-if-cached", 59, H, None),
    ("max-age=60", "only-if-cached", 61, U, Forward.STALE),
    (SWR, "only-if-cached", 61, S, Forward.STALE),
    ("max-age=60", "no-store", 59, H, None),  # about storing only
]


@pytest.mark.parametrize(("control", "asked", "age", "verdict", "forward"), LOOKUPS)
def test_a_stored_response_is_served_or_validated(
    control: str, asked: str, age: float, verdict: Verdict, forward: Forward | None
) -> None:
    found = filled(ok(control, etag='"1"')).lookup(get(asked), NOW + age)
    assert (found.verdict, found.forward) == (verdict, forward)


def test_what_is_not_there_is_a_miss_or_with_only_if_cached_unavailable() -> None:
    cache: Cache[bytes] = Cache()
    assert cache.lookup(get(), NOW)[:3] == (M, None, Forward.URI_MISS)
    assert cache.lookup(get("only-if-cached"), NOW).verdict is U


def test_pragma_is_no_cache_only_without_cache_control() -> None:
    cache = filled(ok())
    assert cache.lookup(get(pragma="no-cache"), NOW).verdict is V
    assert cache.lookup(get("max-age=100", pragma="no-cache"), NOW).verdict is H


def test_clients_have_no_say_in_freshness_if_the_rules_say_so() -> None:
    cache = filled(ok(), rules=CacheRules(obey_clients=False))
    assert cache.lookup(get("no-cache"), NOW).verdict is H
    assert cache.lookup(get(pragma="no-cache"), NOW).verdict is H
    assert cache.lookup(get("max-stale"), NOW + 61).verdict is V
    assert (
        cache.store(get("no-store", uri="http://a/y"), ok(), b"", NOW, NOW)[1] == "the client says no-store"
    )


def test_other_methods_pass_by_and_head_is_answered_from_get() -> None:
    cache = filled(ok())
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
        assert cache.lookup(get(method=method), NOW)[:3] == (Verdict.BYPASS, None, Forward.METHOD)
    assert cache.lookup(get(method="HEAD"), NOW).verdict is H


# -- age ---------------------------------------------------------------------------------------------


def test_the_age_counts_other_caches_the_way_and_the_stay() -> None:  # RFC 9111, 4.2.3
    cache: Cache[bytes] = Cache()
    response = ok("max-age=600", age="100", date=format_date(NOW - 30))
    stored, _ = cache.store(get(), response, b"", requested=NOW - 5, now=NOW)
    assert stored
    assert stored.age(NOW + 10) == 100 + 5 + 10
    assert stored.fields(NOW + 10.9).get("age") == "115"


def test_a_date_in_the_past_counts_as_age_and_one_in_the_future_does_not() -> None:
    for date, age in ((NOW - 300, 300), (NOW + 300, 0)):
        assert only(filled(ok("max-age=600", date=format_date(date)))).age(NOW) == age


def test_a_clock_that_jumps_back_makes_no_response_younger() -> None:
    stored = only(filled(ok("max-age=600", age="7")))
    assert stored.age(NOW - 1e6) == 7


def test_a_missing_date_is_added() -> None:
    assert only(filled(ok())).response.fields.get("date") == format_date(NOW)
    assert only(filled(ok(date="nonsense"))).response.fields.get("date") == format_date(NOW)


def test_what_arrives_stale_and_cannot_be_validated_is_not_kept() -> None:
    cache: Cache[bytes] = Cache()
    assert cache.store(get(), ok("max-age=60", age="60"), b"", NOW, NOW)[0] is None
    assert cache.store(get(), ok(""), b"", NOW, NOW)[0] is None
    assert cache.store(get(), ok("", etag='"1"'), b"", NOW, NOW)[0] is not None


# -- variants -----------------------------------------------------------------------------------------


def test_vary_keeps_variants_apart() -> None:
    cache: Cache[bytes] = Cache()
    for coding in ("gzip", "br"):
        request = get(accept_encoding=coding)
        cache.store(request, ok(vary="Accept-Encoding"), coding.encode(), NOW, NOW)
    found = cache.lookup(get(accept_encoding="br"), NOW)
    assert found.stored
    assert found.stored.body == b"br"
    assert cache.lookup(get(), NOW)[:3] == (M, None, Forward.VARY_MISS)
    assert cache.lookup(get(accept_encoding="gzip, br"), NOW).verdict is M


def test_vary_ignores_spaces_around_commas_and_repeated_lines() -> None:
    cache = filled(ok(vary="accept"), get(accept="a,  b"))
    assert cache.lookup(get(accept="a ,b"), NOW).verdict is H
    lines = Request("GET", URI, Fields([("accept", "a"), ("accept", "b")]))
    assert cache.lookup(lines, NOW).verdict is H
    assert cache.lookup(get(accept="b, a"), NOW).verdict is M


def test_an_absent_field_is_not_an_empty_one() -> None:
    cache = filled(ok(vary="accept"), get())
    assert cache.lookup(get(), NOW).verdict is H
    assert cache.lookup(get(accept=""), NOW).verdict is M


def test_of_several_suitable_responses_the_most_recent_one_is_used() -> None:
    cache = filled(ok(date=format_date(NOW)))  # without Vary: suits any request
    cache.store(get(accept="a"), ok(vary="accept", date=format_date(NOW + 5)), b"newer", NOW + 5, NOW + 5)
    found = cache.lookup(get(accept="a"), NOW + 6)
    assert found.stored
    assert found.stored.body == b"newer"


def test_a_uri_has_a_limited_number_of_variants_and_the_one_in_use_stays() -> None:
    cache: Cache[bytes] = Cache(CacheRules(max_variants=3))
    for n in range(20):
        cache.store(get(accept=str(n)), ok(vary="accept"), b"", NOW, NOW)
        assert cache.lookup(get(accept="0"), NOW).verdict is H
    assert len(cache.entries) == 3


# -- validation ---------------------------------------------------------------------------------------


def test_the_origin_is_asked_with_the_validators_of_the_stored_response() -> None:
    stored = only(filled(ok(etag='W/"1"', last_modified=format_date(NOW - 9))))
    asked = to_origin(get(if_none_match='"client"', range="bytes=0-1", accept="a"), stored)
    assert sorted(asked.fields) == [
        ("accept", "a"),
        ("if-modified-since", format_date(NOW - 9)),
        ("if-none-match", 'W/"1"'),
    ]
    assert not list(to_origin(get(if_none_match='"client"')).fields)


def test_a_304_makes_a_response_fresh_and_changes_its_fields_but_not_its_body() -> None:
    cache = filled(ok(etag='"1"', content_type="a/b", x="old", y="old", age="9"))
    answer = ok("max-age=90", 304, etag='"1"', content_type="c/d", x="new", content_length="0")
    fresh = cache.freshen(get(), only(cache), answer, NOW + 70, NOW + 71)
    assert fresh is only(cache)
    assert fresh.body == b"body"
    fields = dict(fresh.response.fields)
    assert (fields["x"], fields["y"], fields["content-type"]) == ("new", "old", "a/b")
    assert fields["date"] == format_date(NOW + 71)
    assert "content-length" not in fields
    assert cache.lookup(get(), NOW + 71 + 88).verdict is H  # 90 s, less 1 s under way
    assert cache.lookup(get(), NOW + 71 + 89).verdict is V


def test_a_304_about_another_response_is_not_used() -> None:
    cache = filled(ok(etag='"1"'))
    assert cache.freshen(get(), only(cache), ok(status=304, etag='"2"'), NOW, NOW) is None
    assert not len(cache.entries)


def test_a_304_may_end_the_storing() -> None:
    cache = filled(ok(etag='"1"'))
    assert cache.freshen(get(), only(cache), ok("no-store", 304, etag='"1"'), NOW, NOW)
    assert not len(cache.entries)


def test_a_304_does_not_bring_back_what_was_purged_or_replace_what_is_newer() -> None:
    cache = filled(ok(etag='"1"'))
    old = only(cache)
    cache.purge(URI)
    assert cache.freshen(get(), old, ok(status=304), NOW, NOW)
    assert not len(cache.entries)
    newer, _ = cache.store(get(), ok(etag='"2"'), b"newer", NOW, NOW)
    assert cache.freshen(get(), old, ok(status=304), NOW, NOW)
    assert only(cache) is newer


@pytest.mark.parametrize(
    ("answer", "asked", "kept"),
    [
        (ok("private"), get(), 0),  # it is for no cache any more
        (ok("no-store"), get(), 0),
        (ok("max-age=60"), get("no-store"), 1),  # this client's own wish
        (ok("max-age=60"), get(authorization="x"), 1),
        (ok("private", status=503), get(), 1),
        (ok("max-age=60"), get(), 1),
    ],
)
def test_what_comes_in_place_of_a_304_and_is_for_no_cache_ends_the_storing(
    answer: Response, asked: Request, kept: int
) -> None:
    cache = filled(ok(etag='"1"'))
    cache.store(asked, answer, b"new", NOW + 70, NOW + 70, only(cache))
    assert len(cache.entries) == kept


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, False),
        ({"if_none_match": '"1"'}, True),
        ({"if_none_match": 'W/"1"'}, True),
        ({"if_none_match": '"0", "1"'}, True),
        ({"if_none_match": "*"}, True),
        ({"if_none_match": '"2"'}, False),
        ({"if_none_match": '"2"', "if_modified_since": format_date(NOW)}, False),  # the tag decides
        ({"if_modified_since": format_date(NOW - 50)}, True),
        ({"if_modified_since": format_date(NOW - 51)}, False),
        ({"if_modified_since": "soon"}, False),
    ],
)
def test_a_client_that_has_the_response_gets_a_304(fields: dict[str, str], answer: bool) -> None:
    stored = only(filled(ok(etag='"1"', last_modified=format_date(NOW - 50), x="y")))
    assert not_modified(get("", **fields), stored) is answer
    assert "x" not in of_a_304(stored.fields(NOW))
    assert {"age", "etag", "date", "cache-control"} <= {name for name, _ in of_a_304(stored.fields(NOW))}


# -- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "asked", "default", "age", "served"),
    [
        ("max-age=60", "", 0, 61, False),
        ("max-age=60, stale-if-error=30", "", 0, 89, True),
        ("max-age=60, stale-if-error=30", "", 0, 90, False),
        ("max-age=60, stale-if-error=30", "", 900, 91, False),  # what the origin says goes first
        ("max-age=60", "", 30, 89, True),
        ("max-age=60", "stale-if-error=30", 0, 89, True),
        ("max-age=60, must-revalidate, stale-if-error=30", "", 0, 61, False),
        ("s-maxage=60, stale-if-error=30", "", 0, 61, False),
        ("no-cache, stale-if-error=30", "", 0, 1, False),
        ("max-age=60", "no-cache", 0, 1, True),  # fresh: the client only wished for a fresher one
    ],
)
def test_a_stale_response_stands_in_for_an_error(
    control: str, asked: str, default: float, age: float, served: bool
) -> None:
    cache = filled(ok(control, etag='"1"'), rules=CacheRules(stale_if_error=default))
    assert cache.serves_on_error(get(asked), only(cache), NOW + age) is served


# -- invalidation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "gone"),
    [
        ("POST", 200, 1),
        ("PUT", 204, 1),
        ("DELETE", 303, 1),
        ("PURR", 200, 1),
        ("POST", 404, 0),
        ("POST", 500, 0),
        ("GET", 200, 0),
        ("HEAD", 200, 0),
        ("OPTIONS", 200, 0),
    ],
)
def test_a_successful_unsafe_request_invalidates(method: str, status: int, gone: int) -> None:
    cache = filled(ok())
    assert cache.changed(get(method=method), Response(status)) == gone
    assert len(cache.entries) == 1 - gone


def test_location_and_content_location_are_invalidated_too_in_the_same_origin_only() -> None:
    cache: Cache[bytes] = Cache()
    for uri in ("http://a/x", "http://a/y", "http://a/z", "http://b/y"):
        cache.store(get(uri=uri), ok(), b"", NOW, NOW)
    answer = ok("", 201, location="/y", content_location="http://b/y")
    assert cache.changed(get(uri="http://a/new", method="POST"), answer) == 1
    assert [s.uri for s in cache.entries] == ["http://a/x", "http://a/z", "http://b/y"]
    assert cache.changed(get(uri="http://a/new", method="POST"), ok("", 201, location="http://[")) == 0


# -- room ---------------------------------------------------------------------------------------------


def test_the_least_recently_used_response_makes_room() -> None:
    size = only(filled(ok())).size
    cache: Cache[bytes] = Cache(CacheRules(max_bytes=3 * size, max_entry=size))
    for n in range(3):
        cache.store(get(uri=f"http://a/{n}"), ok(), b"body", NOW, NOW)
    cache.lookup(get(uri="http://a/0"), NOW)
    cache.store(get(uri="http://a/3"), ok(), b"body", NOW, NOW)
    assert [s.uri[-1] for s in cache.entries] == ["2", "0", "3"]
    assert cache.entries.evicted == 1


def test_what_is_larger_than_an_entry_may_be_is_not_stored() -> None:
    cache: Cache[bytes] = Cache(CacheRules(max_entry=10_000))
    stored, why = cache.store(get(), ok(), b"x" * 10_000, NOW, NOW)
    assert stored is None
    assert "bytes are more than an entry may have" in why


def test_clear_forgets_all() -> None:
    cache = filled(ok())
    cache.clear()
    assert (len(cache.entries), cache.entries.size) == (0, 0)


# -- flights -----------------------------------------------------------------------------------------


def test_requests_that_may_get_different_responses_are_not_in_one_flight() -> None:
    cache = filled(ok(vary="accept"), get(accept="a"))
    keys = [
        cache.flight_key(request)
        for request in (
            get(accept="a"),
            get(accept="b"),
            get(accept="a", authorization="x"),
            get(accept="a", method="HEAD"),
            get(accept="a", uri="http://a/other"),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert cache.flight_key(get(accept="a", user_agent="x")) == keys[0]


def test_a_flight_ends_shared_only_with_a_response_that_others_may_use() -> None:
    cache: Cache[bytes] = Cache()
    fresh, _ = cache.store(get(), ok(), b"", NOW, NOW)
    unusable, _ = cache.store(get(), ok("no-cache", etag='"1"'), b"", NOW, NOW)
    assert cache.landing(200, fresh, NOW) is Landing.SHARED
    assert cache.landing(200, unusable, NOW) is Landing.UNSHARED
    assert cache.landing(200, None, NOW) is Landing.UNSHARED
    assert cache.landing(503, None, NOW) is Landing.FAILED
    assert cache.landing(0, None, NOW) is Landing.FAILED


def test_only_misses_and_stale_ones_are_shareable() -> None:
    cache = filled(ok(etag='"1"'))
    assert cache.lookup(get(uri="http://a/new"), NOW).shareable
    assert cache.lookup(get(), NOW + 99).shareable
    assert not cache.lookup(get("no-cache"), NOW).shareable
    assert not cache.lookup(get(method="POST"), NOW).shareable
    assert not cache.lookup(get(), NOW).shareable
