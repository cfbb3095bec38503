"""Laws of the cache under any history: bounded, never serves what must not be stored, no negative age."""

from __future__ import annotations

import gc
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lbkit.core.cache import Cache, CacheRules, Fields, Request, Response, cache_status
from lbkit.core.cache.fields import format_date

START = 1_800_000_000.0
RULES = CacheRules(max_bytes=60_000, max_entry=20_000, max_variants=3)

uris = st.sampled_from([f"http://a/{n}" for n in range(6)])
arguments = st.sampled_from(
    ["", "=0", "=1", "=60", "=9999999999", "=x", '="5"', '="set-cookie"', '="vary"', '="']
)
names = st.sampled_from(
    [
        "max-age",
        "s-maxage",
        "public",
        "private",
        "no-cache",
        "no-store",
        "must-revalidate",
        "must-understand",
        "stale-while-revalidate",
        "stale-if-error",
        "proxy-revalidate",
        "max-stale",
        "min-fresh",
        "only-if-cached",
    ]
)
controls = st.lists(st.builds(str.__add__, names, arguments), max_size=3).map(", ".join)
dates = st.integers(-200, 200).map(lambda s: format_date(START + s)) | st.sampled_from(["0", "soon", ""])
response_fields = st.fixed_dictionaries(
    {"cache-control": controls},
    optional={
        "age": st.sampled_from(["0", "5", "100", "-1", "x"]),
        "date": dates,
        "expires": dates,
        "last-modified": dates,
        "etag": st.sampled_from(['"1"', 'W/"1"', '"2"', "bad"]),
        "vary": st.sampled_from(["accept", "*", "Accept, Cookie", ""]),
        "set-cookie": st.just("id=1"),
        "connection": st.sampled_from(["close", "etag, date", "cache-control"]),
    },
)
request_fields = st.fixed_dictionaries(
    {},
    optional={
        "cache-control": controls,
        "accept": st.sampled_from(["a", "b", "a, b", ""]),
        "cookie": st.sampled_from(["1", "2"]),
        "authorization": st.just("secret"),
        "pragma": st.just("no-cache"),
        "if-none-match": st.sampled_from(["*", '"1"', "junk"]),
    },
)
methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "DELETE", "BREW"])
requests = st.builds(lambda m, u, f: Request(m, u, Fields(f.items())), methods, uris, request_fields)
statuses = st.sampled_from([200, 200, 200, 204, 206, 302, 304, 404, 500, 503, 599])
responses = st.builds(lambda s, f: Response(s, Fields(f.items())), statuses, response_fields)


def forbidden(request: Request, response: Response) -> bool:
    """Whether RFC 9111 forbids a shared cache to store this: written anew, and only where it is plain."""
    asked = request.fields.get("cache-control") or ""
    said = response.fields.get("cache-control") or ""
    directives = [part.strip().partition("=")[::2] for part in said.split(",")]
    plain = {name for name, _ in directives}
    return (
        request.method != "GET"
        or response.status in (206, 304)
        or "no-store" in asked
        or ("no-store" in said and "must-understand" not in said)
        or ("private", "") in directives
        or ("authorization" in request.fields and not plain & {"public", "s-maxage", "must-revalidate"})
        or response.fields.get("vary") == "*"
    )


class AnyHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cache: Cache[bytes] = Cache(RULES)
        self.now = START
        self.serial = 0
        self.forbidden: set[bytes] = set()

    @rule(by=st.integers(-30, 120))
    def time_passes(self, by: int) -> None:
        self.now += by  # a wall clock may jump back, too

    @rule(request=requests, response=responses, size=st.sampled_from([0, 100, 5_000, 15_000, 30_000]))
    def a_response_comes(self, request: Request, response: Response, size: int) -> None:
        self.serial += 1
        body = b"%d " % self.serial + b"x" * size
        if forbidden(request, response):
            self.forbidden.add(body)
        stored, why = self.cache.store(request, response, body, self.now - 1, self.now)
        assert (stored is None) == (why != "")

    @rule(request=requests)
    def a_request_comes(self, request: Request) -> None:
        found = self.cache.lookup(request, self.now)
        assert cache_status("lab", found).isascii()
        if found.stored:
            assert found.stored.body not in self.forbidden
            assert found.stored.age(self.now) >= 0
            assert int(found.stored.fields(self.now).get("age") or "-1") >= 0
        if found.served and found.stored:
            assert found.stored.uri == request.uri
            assert not found.stored.must_validate
            if found.ttl <= 0:
                assert found.stored.may_be_stale

    @rule(request=requests, response=responses, keep=st.booleans())
    def a_validation_ends(self, request: Request, response: Response, keep: bool) -> None:
        found = self.cache.lookup(request, self.now)
        if found.stored is None:
            return
        fresh = self.cache.freshen(request, found.stored, response._replace(status=304), self.now, self.now)
        assert fresh is None or fresh.body == found.stored.body

    @rule(request=requests, response=responses)
    def the_origin_changes(self, request: Request, response: Response) -> None:
        if self.cache.changed(request, response):
            assert request.method not in ("GET", "HEAD")
            assert self.cache.entries.select(request) is None

    @invariant()
    def it_keeps_its_bounds(self) -> None:
        entries = list(self.cache.entries)
        assert self.cache.entries.size == sum(s.size for s in entries) <= RULES.max_bytes
        assert all(s.size <= RULES.max_entry for s in entries)
        by_uri = [s.uri for s in entries]
        assert all(by_uri.count(uri) <= RULES.max_variants for uri in by_uri)
        assert not self.forbidden & {s.body for s in entries}


AnyHistory.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
test_any_history = AnyHistory.TestCase


@given(
    st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
    st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
)
def test_no_field_makes_a_decision_raise(value: str, other: str) -> None:
    cache: Cache[bytes] = Cache()
    named = ("cache-control", "age", "date", "expires", "vary", "etag", "connection", "location")
    request = Request("GET", "http://a/", Fields((name, other) for name in named))
    response = Response(200, Fields((name, value) for name in named))
    stored, _ = cache.store(request, response, b"", START, START)
    cache.lookup(request, START)
    cache.changed(request._replace(method="POST"), response)
    if stored:
        cache.freshen(request, stored, response._replace(status=304), START, START)


def test_the_bytes_that_python_allocates_stay_below_the_bound() -> None:
    """With small entries, hostile ones of many short fields, and many variants."""
    shapes = {
        "small": lambda n: (Fields(), Fields([("cache-control", "max-age=9"), ("x", str(n))])),
        "fields": lambda n: (
            Fields(),
            Fields([("cache-control", "max-age=9"), *((f"x{i}", f"{n}") for i in range(100))]),
        ),
        "directives": lambda n: (
            Fields(),
            Fields([("cache-control", "max-age=9, " + ", ".join(f"{n}a{i}" for i in range(100)))]),
        ),
        "vary": lambda n: (
            Fields((f"x{i}", f"{n}") for i in range(100)),
            Fields([("cache-control", "max-age=9"), ("vary", ", ".join(f"x{i}" for i in range(100)))]),
        ),
    }
    rules = CacheRules(max_bytes=400_000)
    for shape, make in shapes.items():
        cache: Cache[bytes] = Cache(rules)
        gc.collect()
        tracemalloc.start(12)
        n = 0
        while not cache.entries.evicted:
            n += 1
            asked, said = make(n)
            cache.store(Request("GET", f"http://a/{n}", asked), Response(200, said), b"%d" % n, START, START)
        del asked, said
        gc.collect()
        taken = tracemalloc.take_snapshot()
        tracemalloc.stop()
        # Of what is called from here only: threads that other tests left take memory meanwhile, too.
        mine = taken.filter_traces([tracemalloc.Filter(True, __file__, all_frames=True)])
        used = sum(trace.size for trace in mine.traces)
        assert rules.max_bytes / 4 < used < rules.max_bytes, shape
