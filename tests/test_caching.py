"""A cache as data, and the words in which answers tell what it did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import CacheRules, Caching, Experiment, ExperimentError, Poisson, Sessions, Traffic, servers
from lbkit.caching import Served, served
from lbkit.core.sticky import Sticky
from lbkit.policy import Policy

BASE = Experiment(servers(2), Traffic(Poisson(20), duration=5), cache=Caching("max-age=60"))


@pytest.mark.parametrize(
    ("status", "how"),
    [
        ("", Served.PASSED),
        ("lbkit; fwd=method; fwd-status=200", Served.PASSED),
        ("lbkit; fwd=uri-miss; fwd-status=200; stored", Served.MISS),
        ("lbkit; fwd=vary-miss; fwd-status=200", Served.MISS),
        ("lbkit; fwd=uri-miss", Served.MISS),
        ("lbkit; hit; ttl=9", Served.HIT),
        ("lbkit; hit; ttl=-3", Served.STALE),
        ('lbkit; fwd=stale; fwd-status=503; detail="stale-if-error"', Served.STALE),
        ("lbkit; fwd=stale; fwd-status=304", Served.VALIDATED),
        ("lbkit; fwd=uri-miss; collapsed", Served.COLLAPSED),
        ("lbkit; fwd=uri-miss; fwd-status=200; stored; collapsed", Served.MISS),
        ("EXPIRED", Served.MISS),
        ("UPDATING", Served.STALE),
    ],
)
def test_the_status_of_an_answer_says_how_it_was_served(status: str, how: Served) -> None:
    assert served(status) is how


@given(st.text())
def test_any_text_is_read_as_a_status(status: str) -> None:
    assert served(status) in Served


def test_an_experiment_with_a_cache_is_a_file() -> None:
    experiment = BASE.but(cache=Caching("max-age=9", coalesce=False, rules=CacheRules(max_bytes=9000)))
    assert Experiment.from_toml(experiment.to_toml()) == experiment


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cache": Caching()}, "cache.control is missing"),
        ({"policy": Policy(sticky=Sticky())}, "sessions set cookies"),
        ({"arrivals": Sessions(5)}, "sessions set cookies"),
    ],
)
def test_a_cache_that_would_keep_nothing_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ExperimentError, match=why):
        BASE.but(**changes)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"control": "a\r\nb"}, "control is"),
        ({"control": "public, max-age=0.5"}, r"control is .*: use whole seconds, not 0\.5"),
        ({"control": "S-MaxAge=soon"}, "use whole seconds, not soon"),
        ({"name": "a b"}, "name is"),
        ({"coalesce": 1}, "coalesce"),
        ({"rules": {}}, "rules"),
        ({"contol": ""}, "control"),
    ],
)
def test_a_wrong_field_is_named(options: dict[str, object], why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        Caching(**options)  # type: ignore[arg-type]
