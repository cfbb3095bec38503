"""Next to hishel, another implementation of RFC 9111: where both have a rule, they agree."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need_module

need_module("hishel")
import hishel
from hishel._core import _spec as hishel_spec

from lbkit.core.cache import Cache, Fields, Request, Response, Verdict
from lbkit.core.cache.fields import format_date

START = 1_800_000_000.0
URI = "http://a/x"

names = st.sampled_from(
    ["max-age=0", "max-age=30", "max-age=90", "s-maxage=50", "public", "private", "no-cache"]
)
others = st.sampled_from(
    ["no-store", "must-revalidate", 'private="x-user"', 'no-cache="x-user"', "immutable"]
)
controls = st.lists(names | others, max_size=3, unique_by=lambda d: d.partition("=")[0]).map(", ".join)
expires = st.sampled_from([-50, 0, 40]).map(lambda s: format_date(START + s)) | st.just("0")
response_fields = st.fixed_dictionaries(
    {"cache-control": controls, "etag": st.just('"1"'), "date": st.just(format_date(START))},
    optional={"expires": expires, "vary": st.sampled_from(["accept", "accept, x"])},
)
request_fields = st.fixed_dictionaries(
    {}, optional={"accept": st.sampled_from(["a", "b"]), "x": st.just("1")}
)
credentials = st.fixed_dictionaries({}, optional={"authorization": st.just("secret")})
wishes = st.fixed_dictionaries({}, optional={"cache-control": st.just("no-cache")})


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    asked=st.builds(dict.__or__, request_fields, credentials),
    again=st.builds(dict.__or__, request_fields, wishes),
    status=st.sampled_from([200, 204, 206, 302, 404, 500]),
    said=response_fields,
    age=st.sampled_from([0, 29, 30, 39, 40, 49, 50, 89, 90]),
)
def test_both_store_and_serve_the_same(
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, str],
    again: dict[str, str],
    status: int,
    said: dict[str, str],
    age: int,
) -> None:
    cache: Cache[bytes] = Cache()
    request = Request("GET", URI, Fields(asked.items()))
    stored, _ = cache.store(request, Response(status, Fields(said.items())), b"", START, START)

    now = START
    monkeypatch.setattr(hishel_spec, "time", SimpleNamespace(time=lambda: now))
    shared = hishel.CacheOptions(shared=True, supported_methods=["GET", "HEAD"], allow_stale=False)
    its_request = hishel.Request("GET", URI, hishel.Headers(asked))
    miss = hishel.IdleClient(shared).next(its_request, [])
    assert isinstance(miss, hishel.CacheMiss)
    kept = miss.next(hishel.Response(status, hishel.Headers(said)))
    assert (stored is not None) == isinstance(kept, hishel.StoreAndUse)
    if not isinstance(kept, hishel.StoreAndUse):
        return

    now = START + age
    entry = hishel.Entry(uuid4(), its_request, kept.response)
    its = hishel.IdleClient(shared).next(hishel.Request("GET", URI, hishel.Headers(again)), [entry])
    found = cache.lookup(Request("GET", URI, Fields(again.items())), now)
    assert (found.verdict is Verdict.HIT) == isinstance(its, hishel.FromCache)
    if found.stored and isinstance(its, hishel.FromCache):
        assert found.stored.fields(now).get("age") == its.entry.response.headers["age"]
        assert "x-user" not in found.stored.response.fields
