"""The number of servers is that of closed forms."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from math import sqrt
from pathlib import Path

import pytest

from lbkit import Closed, Constant, Experiment, Exponential, Poisson, Policy, Server, Traffic, servers
from lbkit.capacity import Capacity, servers_needed
from lbkit.importer import read_log
from lbkit.sim import theory

SERVICE = 0.02
TODAY = Experiment(servers(2, service=Exponential(SERVICE), workers=2), policy="random").at_load(0.6)


def p99(count: int, workers: int = 2, work: float = 2 * 2 * 2 * 0.6) -> float:
    """Return the p99 if each of `count` servers gets the same share of twice the traffic at random: M/M/c."""
    return theory.mmc_percentile(workers, work / workers / count, 99, SERVICE)


@cache
def planned() -> Capacity:
    limit = sqrt(p99(4) * p99(3))  # between what three and four servers reach
    return servers_needed(TODAY.but(duration=60, warmup=5), limit, seeds=6)


def test_the_number_is_that_of_the_closed_form() -> None:
    found = planned()
    assert found.servers == found.at_least == 4
    assert "4 servers are enough" in found.statement
    assert "and 3 servers are not (95% confidence, 6 seeds)" in found.statement
    for step in found.steps:
        if step.latency:
            assert step.latency.mean == pytest.approx(
                p99(step.servers), rel=0.2 if step.servers < 4 else 0.08
            )


def test_what_a_failure_costs_is_said() -> None:
    found = planned()
    left = found.without_one
    assert left
    assert left.servers == 3
    assert left.load == pytest.approx(0.8)
    assert left.latency
    assert left.latency.low > found.limit
    assert "with 5 servers one may fail" in found.failure
    tight = servers_needed(TODAY.but(duration=30), 10.0, scale=1.0, seeds=2)
    assert tight.servers == 2
    assert "more work comes than the others can do" in tight.failure


def test_of_unequal_servers_the_one_that_does_the_most_may_fail() -> None:
    """At a load of 2 workers, two servers of 4 and 1 workers are enough, but not when the large one fails."""
    large = Server("large", workers=4, weight=4, service=Constant(0.1))
    unequal = [large, Server("small", service=Constant(0.1))]
    today = Experiment(unequal, Traffic(Poisson(10), duration=30), Policy("nginx_least_connections"))
    found = servers_needed(today, 0.3, seeds=2)
    assert found.servers == 1
    assert found.survives_one == 3  # large, small and a second large one
    assert found.without_one is None
    twice = servers_needed(today.but(servers=unequal[::-1]), 0.3, seeds=2)
    assert (twice.servers, twice.survives_one) == (2, 4)
    assert "If the one that does the most fails, more work comes" in twice.failure
    some = servers_needed(today, 0.3, seeds=2, most=2)
    assert some.survives_one is None
    assert "no number of servers" in some.failure


def test_the_table_says_for_each_number_whether_it_is_enough() -> None:
    found = planned()
    verdicts = {step.servers: found.verdict(step) for step in found.steps}
    assert verdicts[3] == "no"
    assert verdicts[4] == "yes"
    html = found._repr_html_()
    assert found.statement in html
    assert html.count("<tr>") == len(found.steps) + 1
    with pytest.raises(KeyError, match="99 servers were not tried"):
        found[99]


def test_the_interval_may_leave_a_number_in_doubt() -> None:
    """Few seeds of short runs cannot tell numbers apart whose quantiles are nearly the limit."""
    found = servers_needed(TODAY.but(duration=6), p99(4), seeds=2)
    assert found.at_least < found.servers
    assert found.statement.startswith(f"Probably {found.servers} servers, at least {found.at_least}, for p99")
    assert found.verdict(found[found.at_least]) == "perhaps"


def test_users_that_wait_adapt_so_that_every_number_is_simulated() -> None:
    users = Experiment(servers(1, service=Constant(0.05)), Traffic(Closed(10, think=0.5), duration=60))
    found = servers_needed(users, 0.2, seeds=3)
    assert found.steps[0].servers == 1
    assert found.steps[0].load is None
    assert found.interval.high < 0.2


def test_requests_that_fail_are_not_fast() -> None:
    """Two servers with hardly a queue reject most of what comes, and answer the rest in time."""
    short = [Server(f"s{i}", service=Constant(SERVICE), queue=0) for i in range(2)]
    found = servers_needed(
        Experiment(short, policy=Policy("random", retries=0)).at_load(0.4).but(duration=60),
        0.5,
        quantile=0.9,
        seeds=3,
    )
    assert found.interval.high <= SERVICE * 1.01
    assert found.servers > 5  # of the closed form: load / (1 + load) of the requests find it busy
    failed = found[found.servers].failed
    assert failed
    assert failed.high <= 0.1


def test_a_log_is_scaled_and_planned_for(tmp_path: Path) -> None:
    lines = []
    for i in range(1200):
        at = datetime.fromtimestamp(1_700_000_000 + i / 20, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        took = 0.02 + 0.08 * (i % 7 == 0)
        lines.append(f'10.0.0.{i % 50} - - [{at}] "GET /{i % 9} HTTP/1.1" 200 5 "-" "-" {took:.3f}\n')
    path = tmp_path / "access.log"
    path.write_text("".join(lines))
    today = read_log(path).played_on(Experiment(servers(1)), workers=1)
    found = servers_needed(today, limit=0.25, quantile=0.95, scale=2.0, seeds=3)
    assert found.servers >= 2
    assert found[found.servers].load == pytest.approx(2 * (today.load or 0) / found.servers, rel=0.05)
    assert "p95 below 250 ms at 2 times the traffic" in found.statement


def test_progress_has_a_line_for_each_number() -> None:
    lines: list[str] = []
    servers_needed(TODAY.but(duration=20), 0.5, seeds=2, progress=lines.append)
    assert lines
    assert all(" servers: p99 " in line for line in lines)


def test_what_cannot_be_is_refused() -> None:
    short = TODAY.but(duration=10)
    with pytest.raises(ValueError, match=r"the p99 of the service alone is 92.1 ms .* no number of servers"):
        servers_needed(short, limit=0.05)
    with pytest.raises(ValueError, match="scale is 0: use a number above 0"):
        servers_needed(short, scale=0)
    with pytest.raises(ValueError, match="limit is -1"):
        servers_needed(short, limit=-1)
    with pytest.raises(ValueError, match=r"quantile is 0.97: use one of 0.5, 0.9, 0.95, 0.99, 0.999"):
        servers_needed(short, quantile=0.97)
    with pytest.raises(ValueError, match="seeds is 1"):
        servers_needed(short, seeds=1)
    with pytest.raises(ValueError, match="most is 3: so many servers are not enough"):
        servers_needed(short, limit=0.1, most=3, seeds=2)
    with pytest.raises(ValueError, match="experiment is 3: use an Experiment"):
        servers_needed(3)  # type: ignore[arg-type]
