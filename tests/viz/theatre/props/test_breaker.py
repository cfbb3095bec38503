from __future__ import annotations

from films import result_of

from lbkit import run
from lbkit.core.health import BreakerRules
from lbkit.viz.theatre.props.breaker import breaker, title
from lbkit.viz.theatre.window import window


def test_counts_follow_each_other_as_the_breaker_opens_and_closes() -> None:
    result = result_of("breakers")
    prop = breaker(result, window(result, 0.0, None, 5000))
    assert prop
    table = prop["tallies"]
    of_b = [row for row, server in enumerate(table["server"]) if server == 1]
    states = [table["state"][row] for row in of_b]
    order = [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]
    assert order[:3] == ["closed", "open", "half open"]
    assert order[-1] == "closed"
    for row in of_b:
        assert (table["until"][row] is None) == (table["state"][row] != "open")
        assert table["failed"][row] <= table["outcomes"][row]
        assert table["running"][row] + table["passed"][row] <= prop["rules"]["probes"]
    assert min(prop["budget"]["left"]) < max(prop["budget"]["left"])


def test_there_is_none_without_a_breaker_or_a_recording() -> None:
    for result in (result_of("small"), run(result_of("breakers").experiment)):
        assert breaker(result, window(result, 0.0, None, 5000)) is None


def test_the_title_says_what_opens_it() -> None:
    assert title(BreakerRules(failure_rate=0.0, consecutive=3), False) == (
        "breakers: 3 failures in a row open it for 5 s"
    )
    assert title(BreakerRules(calls=10, minimum=4), True) == (
        "breakers: 50% of the last 10 failed (at least 4) open it for 5 s; retry budget"
    )
    assert title(None, True) == "retry budget"
