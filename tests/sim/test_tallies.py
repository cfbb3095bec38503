"""What is recorded of health rules, budgets and connections is what the rules themselves have counted."""

from __future__ import annotations

from itertools import pairwise
from math import inf, isnan

from films import EXPERIMENTS, result_of

from lbkit import Layer4, Policy, run
from lbkit.result import Result


def test_every_probe_that_has_an_outcome_is_recorded() -> None:
    result = result_of("health")
    probed = result.extra["probed"]
    assert result.probes - 4 <= len(probed) <= result.probes  # the last may be under way
    assert all(a.sent <= b.sent for a, b in pairwise(probed))
    refused = [probe for probe in probed if probe.server == 1 and 2.0 < probe.sent < 7.0]
    assert refused
    assert {probe.fault for probe in refused} == {"connection refused"}
    hung = [probe for probe in probed if probe.fault == "no answer in time"]
    assert {probe.server for probe in hung} == {3}
    assert {round(probe.ended - probe.sent, 6) for probe in hung} == {0.4}


def test_each_change_of_state_has_a_tally_with_that_state() -> None:
    for name in ("health", "breakers"):
        result = result_of(name)
        tallies = result.extra["tallies"]
        assert all(a.at <= b.at for a, b in pairwise(tallies))
        for change in result.changes:
            of_it = [t for t in tallies if result.backends[t.server] == change.backend and t.at == change.at]
            if change.kind == "check":
                assert change.after in [tally.check for tally in of_it]
            elif change.kind == "outlier":
                assert (change.after == "ejected") in [tally.until is not None for tally in of_it]
            elif change.kind == "breaker":
                assert change.after in [tally.breaker.state.value for tally in of_it if tally.breaker]


def test_the_budget_is_what_the_policy_has_left() -> None:
    result = result_of("breakers")
    budget = result.extra["budget"]
    assert budget[0].left > 0
    assert any(later.left <= before.left - 0.9 for before, later in pairwise(budget))  # a retry
    assert result.attempt_counts["over_budget"] == 0 or min(b.left for b in budget) < 1


def test_panic_begins_and_ends() -> None:
    panics = result_of("health").extra["panics"]
    assert [panic.on for panic in panics[:1]] == [False]
    assert {panic.on for panic in panics} == {False, True}
    assert all(panic.healthy < 0.5 * panic.servers for panic in panics if panic.on)


def test_of_several_balancers_the_first_is_recorded() -> None:
    experiment = EXPERIMENTS["health"]
    policy = experiment.policy
    three = run(experiment.but(policy=Policy("random", health=policy.health, balancers=3)), record=True)
    assert 0 < len(three.extra["probed"]) <= three.probes / 3 + 4


def test_a_run_without_such_rules_has_none_of_it() -> None:
    assert not {"probed", "tallies", "budget", "panics", "relayed"} & result_of("small").extra.keys()


def relayed_once(result: Result) -> None:
    found = result.extra["relayed"]
    assert len(found) == result.connections
    rows = sorted(row for connection in found for row in connection.requests)
    assert rows == list(range(len(result)))
    for connection in found:
        assert {result.backend[row] for row in connection.requests} <= {connection.server, -1}
        closed = inf if isnan(connection.closed) else connection.closed
        assert all(connection.opened <= result.arrival[row] <= closed for row in connection.requests)


def test_each_request_at_layer_4_is_on_one_connection_to_one_server() -> None:
    relayed_once(result_of("layer4"))
    for how in ("client", "shared", "request"):
        relayed_once(run(EXPERIMENTS["layer7"].but(layer4=Layer4(how), http="1.1"), record=True))
