"""Limits on the stage: what they show is what the run's own limiters decided, and say."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from core.test_limit import OPTIONS
from films import result_of
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import Experiment, Poisson, RateLimit, Traffic, run, servers
from lbkit.core.limit import Limiter, TokenBucket, make_limiter
from lbkit.core.limit.several import limiter_of
from lbkit.course import own_limiter
from lbkit.experiment import RequestKind
from lbkit.firewall import FirewallRules
from lbkit.patience import Patience
from lbkit.result import Result
from lbkit.viz.theatre import film
from lbkit.viz.theatre.props.gauge import Point, gauge
from lbkit.viz.theatre.props.limiter import unplayed
from lbkit.viz.theatre.props.rules import QUEUE, limiter_title, rule_title, shape
from lbkit.viz.theatre.props.visits import Visit, visits

GAUGED = [kind for kind in OPTIONS if kind != "several"]  # its parts are shown
TOO_MANY = 429


def at(points: list[Point], now: float) -> tuple[float, float]:
    """Return what the lines between points say of one moment."""
    number = bisect_right([point.at for point in points], now)
    if number == len(points):
        return points[-1][1:]
    before, after = points[number - 1], points[number]
    share = (now - before.at) / (after.at - before.at or 1.0)
    left, wait = (a + (b - a) * share for a, b in zip(before[1:], after[1:], strict=True))
    return left, wait


def played(kind: str, arrivals: list[float]) -> tuple[list[Visit], list[tuple[float, float, float]]]:
    """Return the visits, and for a moment after each the cost left and the wait, as the limiter says."""
    limiter = make_limiter(kind, **OPTIONS[kind])
    found, looks = [], []
    for now, then in zip(arrivals, [*arrivals[1:], arrivals[-1] + 3], strict=True):
        found.append(Visit(now, 0, limiter.allows("", now), 0.0))
        for share in (0.3, 0.6, 0.95):
            moment = now + share * (then - now)
            decision = limiter.would("", moment)
            left = decision.remaining + 1 if decision.allowed else decision.remaining
            looks.append((moment, left, 0.0 if decision.allowed else decision.retry_after))
    return found, looks


@settings(max_examples=30)
@given(st.sampled_from(GAUGED), st.lists(st.integers(1, 700), min_size=1, max_size=25))
def test_a_gauge_shows_at_any_moment_what_the_limiter_says(kind: str, gaps: list[int]) -> None:
    arrivals = [sum(gaps[: i + 1]) / 997 for i in range(len(gaps))]
    found, looks = played(kind, arrivals)
    fresh = make_limiter(kind, **OPTIONS[kind])
    points = gauge(fresh, found, 0.0, arrivals[-1] + 3)
    assert all(a.at <= b.at for a, b in pairwise(points))
    fine = 1.1e-3 * (getattr(fresh, "rate", 1.0) + 1) if kind == "nginx_limit" else 1e-4  # it counts in ms
    turns = [point.at for point in points]
    for now, left, wait in looks:
        if min(abs(now - turn) for turn in turns) < 1e-4 and now not in turns:
            continue  # beside a jump
        shown_left, shown_wait = at(points, now)
        assert shown_left == pytest.approx(min(fresh.limit, left), abs=fine)
        assert shown_wait == pytest.approx(wait, abs=2e-3)


def test_a_jump_at_the_moment_of_a_request_is_no_slope() -> None:
    log = make_limiter("sliding_log", limit=4, window=1.0)
    found = [Visit(now, 0, True, 0.0) for now in (0.0, 0.1, 0.2, 0.3, 1.0, 1.1)]  # one expires as one comes
    points = gauge(log, found, 0.0, 1.5)
    assert at(points, 0.95)[0] == 0
    assert [point.left for point in points if point.at == 1.0] == [0, 1, 1, 0]


def limited(limit: Any, key: str = "client", **more: Any) -> Experiment:
    traffic = Traffic(Poisson(30), 2.0, clients=3, **more)
    return Experiment(servers(2), traffic, "round_robin", limits=RateLimit(limit, key=key))


@settings(max_examples=20)
@given(
    st.sampled_from(list(OPTIONS)),
    st.sampled_from(["client", "global", "path"]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_the_visits_have_the_denials_of_the_rows(kind: str, key: str, record: bool, seed: int) -> None:
    experiment = limited({"kind": kind, **OPTIONS[kind]}, key).but(seed=seed)
    result = run(experiment, record=record)
    found, notes = visits(result)
    denied = sorted(visit.row for some in found.values() for visit in some if not visit.allowed)
    assert denied == [row for row, status in enumerate(result.status) if status == TOO_MANY]
    assert notes == []


def cells(result: Result) -> list[dict[str, Any]]:
    (prop,) = (prop for prop in film(result).props if prop["kind"] == "limiter")
    found: list[dict[str, Any]] = prop["cells"]
    return found


def test_each_client_has_a_bucket_and_its_requests() -> None:
    result = result_of("limiter")
    made = film(result)
    (prop,) = made.props
    assert prop["title"] == "token bucket, 8/s, burst 5, for each client"
    assert [cell["key"] for cell in prop["cells"]] == ["c0", "c1", "c2"]
    for cell in prop["cells"]:
        assert (cell["shape"], cell["limit"], cell["rate"]) == ("bucket", 5, 8)
        assert 0 <= min(cell["level"]) < max(cell["level"]) <= 5
        assert cell["at"][0] == 0.0
        assert cell["at"][-1] == made.end
        for request, ok in zip(cell["asked"]["request"], cell["asked"]["ok"], strict=True):
            assert made.clients[made.requests["client"][request]]["name"] == cell["key"]
            assert ok == (made.requests["status"][request] != TOO_MANY)


def test_a_denial_happens_at_a_level_below_one_token() -> None:
    for cell in cells(result_of("limiter")):
        for now, ok in zip(cell["asked"]["at"], cell["asked"]["ok"], strict=True):
            points = [Point(*three) for three in zip(cell["at"], cell["level"], cell["wait"], strict=True)]
            level, wait = at(points, now)
            assert ok or (level < 1 and wait > 0)


def test_rules_for_different_paths_are_shown_together() -> None:
    found = cells(result_of("windows"))
    assert [cell["shape"] for cell in found] == ["window", "log", "counter", "meter"]
    assert [cell["key"] for cell in found] == [f"/item/{i}" for i in range(4)]
    assert found[0]["name"] == "fixed window, 5 in 0.5 s"
    assert all(max(cell["level"]) <= cell["limit"] for cell in found)


def test_of_many_keys_the_busiest_are_shown() -> None:
    result = run(limited({"kind": "gcra", "rate": 2}).but(clients=9, client_skew=1.0), record=True)
    (prop,) = film(result).props
    assert len(prop["cells"]) == 4
    assert prop["more"] == len(set(result.client)) - 4 > 0
    often = sorted(Counter(result.client).items(), key=lambda one: -one[1])
    assert {cell["key"] for cell in prop["cells"]} >= {f"c{client}" for client, _ in often[:3]}
    assert [cell["key"] for cell in prop["cells"]] == sorted(cell["key"] for cell in prop["cells"])


def test_several_limits_on_a_key_are_shown_beside_each_other() -> None:
    both = {
        "kind": "several",
        "limits": [{"kind": "token_bucket", "rate": 9, "burst": 4}, {"kind": "fixed_window", "limit": 11}],
    }
    result = run(limited(both, "global"), record=True)
    found = cells(result)
    assert [cell["shape"] for cell in found] == ["bucket", "window"]
    assert {cell["key"] for cell in found} == {"all requests"}
    assert found[0]["asked"] == found[1]["asked"]


def test_a_request_that_another_rule_denied_uses_nothing_up() -> None:
    limits = [
        RateLimit({"kind": "fixed_window", "limit": 3, "window": 9.0}, key="global", name="tight"),
        RateLimit({"kind": "fixed_window", "limit": 50, "window": 9.0}, key="global", name="wide"),
    ]
    tight, wide = cells(run(limited({"kind": "gcra", "rate": 1}).but(limits=limits), record=True))
    assert max(tight["level"]) == max(wide["level"]) == 3
    assert sum(tight["asked"]["ok"]) == sum(wide["asked"]["ok"]) == 3
    assert len(tight["asked"]["at"]) > len(wide["asked"]["at"]) == 3


def test_a_client_that_tries_again_comes_to_the_limit_again() -> None:
    patience = Patience(timeout=1.0, retries=2)
    result = run(limited({"kind": "token_bucket", "rate": 3}, patience=patience), record=True)
    found, notes = visits(result)
    assert sum(map(len, found.values())) > len(result)
    assert notes == visits(result, 1.0)[1] == []


def test_what_the_firewall_refuses_never_comes_to_the_limit() -> None:
    mix = (RequestKind("good"), RequestKind("bad", query="q=<script>alert(1)</script>", attack=True))
    experiment = limited({"kind": "token_bucket", "rate": 4}, "global", mix=mix).but(
        firewall=FirewallRules(mode="block")
    )
    for record in (True, False):
        result = run(experiment, record=record)
        found, notes = visits(result)
        assert 0 < sum(map(len, found.values())) < len(result)
        assert notes == []


class EveryThird:
    """A learner's own: it admits every third request."""

    def __init__(self, clock: Any) -> None:
        self.count = 0

    def allow(self, cost: float = 1) -> bool:
        self.count += 1
        return self.count % 3 == 1


def test_a_learners_own_limiter_is_shown_by_its_decisions() -> None:
    result = run(limited(own_limiter("every_third_on_stage", EveryThird)), record=True)
    for cell in cells(result):
        assert (cell["shape"], cell["at"], cell["limit"]) == ("own", [], None)
        ok = cell["asked"]["ok"]
        assert ok == [int(i % 3 == 0) for i in range(len(ok))]
    assert film(result).props[0]["title"] == "every third on stage, for each client"


def test_a_subclass_is_drawn_as_what_it_extends_and_another_by_its_decisions() -> None:
    class _Mine(TokenBucket):  # without a name: it is not registered
        pass

    class _Odd(Limiter):
        def step(self, state: int | None, now: float, cost: float) -> int | None:
            return (state or 0) + 1

    assert shape(_Mine(2, 3)) == "bucket"
    assert shape(_Odd()) == "own"
    assert shape(make_limiter("nginx_limit", rate=5, burst=4, delay=1)) == QUEUE
    assert shape(make_limiter("nginx_limit", rate=5, burst=4)) == "meter"


def test_titles_are_a_few_words() -> None:
    assert limiter_title(limiter_of({"kind": "gcra", "rate": 2})) == "GCRA, 2/s, burst 1"
    window = {"kind": "sliding_log", "limit": 10, "window": 0.5}
    assert limiter_title(limiter_of(window)) == "sliding log, 10 in 0.5 s"
    rule = RateLimit({"kind": "leaky_bucket", "rate": 1.5}, key="header:X-User", path="/api")
    assert rule_title(rule) == "leaky bucket, 1.5/s, room for 1, for each header X-User, on /api"


def test_a_film_with_very_many_requests_stays_small() -> None:
    result = run(
        limited({"kind": "token_bucket", "rate": 500, "burst": 9}, "global").but(arrivals=Poisson(2000)),
        record=True,
    )
    (prop,) = film(result).props
    (cell,) = prop["cells"]
    assert len(cell["at"]) <= 2000
    assert len(cell["asked"]["at"]) <= 2000
    assert any("every second" in note for note in film(result).notes)


def test_decisions_that_differ_from_the_runs_are_counted() -> None:
    result = run(limited({"kind": "token_bucket", "rate": 5}))
    result.columns["status"][0] = TOO_MANY  # as by a proxy with another clock
    made = film(result)
    assert f"1 of {len(result)} decisions differ" in made.notes[-1]
    decided = dict.fromkeys(made.requests["row"], 1)
    for cell in made.props[0]["cells"]:  # what is shown is what happened
        decided |= dict(zip(cell["asked"]["request"], cell["asked"]["ok"], strict=True))
    assert decided == {row: int(status != TOO_MANY) for row, status in enumerate(result.status)}


def test_without_limits_there_is_no_prop() -> None:
    assert film(run(limited({"kind": "gcra", "rate": 1}).but(limits=()), record=True)).props == []


def test_of_a_run_that_goes_on_only_the_decisions_are_known() -> None:
    clients = [{"name": f"c{i}"} for i in range(6)]
    (prop,) = unplayed(limited({"kind": "gcra", "rate": 1}), clients)
    assert [(cell["key"], cell["lane"]) for cell in prop["cells"]] == [(f"c{i}", i) for i in range(4)]
    assert {cell["shape"] for cell in prop["cells"]} == {"own"}
    (prop,) = unplayed(limited({"kind": "gcra", "rate": 1}, "path"), clients)
    assert [(cell["key"], cell["lane"]) for cell in prop["cells"]] == [("all requests", None)]
    assert unplayed(limited({"kind": "gcra", "rate": 1}).but(limits=()), clients) == []
