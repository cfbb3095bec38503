"""Cache-Status: the members of RFC 9211."""

from __future__ import annotations

import pytest

from lbkit.core.cache import Forward, Lookup, Verdict, cache_status

MISS: Lookup[bytes] = Lookup(Verdict.MISS, forward=Forward.URI_MISS)


@pytest.mark.parametrize(
    ("lookup", "more", "text"),
    [
        (Lookup(Verdict.HIT, ttl=376.9), {}, "lab; hit; ttl=376"),
        (Lookup(Verdict.HIT, ttl=-412), {}, "lab; hit; ttl=-412"),
        (Lookup(Verdict.STALE, forward=Forward.STALE, ttl=-0.5), {}, "lab; hit; ttl=-1"),
        (MISS, {}, "lab; fwd=uri-miss"),
        (MISS, {"status": 200, "stored": True}, "lab; fwd=uri-miss; fwd-status=200; stored"),
        (MISS, {"collapsed": True}, "lab; fwd=uri-miss; collapsed"),
        (Lookup(Verdict.VALIDATE, forward=Forward.STALE), {"status": 304}, "lab; fwd=stale; fwd-status=304"),
        (Lookup(Verdict.BYPASS, forward=Forward.METHOD), {}, "lab; fwd=method"),
        (MISS, {"detail": 'say "x"\\\r\né'}, 'lab; fwd=uri-miss; detail="say \\"x\\"\\\\???"'),
    ],
)
def test_a_member_says_what_the_cache_did(lookup: Lookup[bytes], more: dict[str, object], text: str) -> None:
    assert cache_status("lab", lookup, **more) == text  # type: ignore[arg-type]


def test_a_name_that_is_no_token_is_quoted() -> None:
    assert cache_status("my cache", MISS) == '"my cache"; fwd=uri-miss'
    assert cache_status("cache.example:80", MISS).startswith("cache.example:80;")
