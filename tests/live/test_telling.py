from __future__ import annotations

import pytest

from lbkit import Constant, Experiment, Traffic, servers
from lbkit.live import LiveSession
from lbkit.live.client_counts import ClientCounts
from lbkit.live.telling import of_show_stat, of_stub_status
from lbkit.metrics.names import DURATION, IN_FLIGHT, METRICS, NO_BACKEND, REQUESTS, UP
from lbkit.metrics.store import labels

STUB = {"active_connections": 5, "requests": 110, "reading": 0, "writing": 3, "waiting": 2}


def test_nginx_counts_neither_the_requests_for_its_status_nor_the_one_that_asks() -> None:
    told = of_stub_status(STUB, asked=10)
    assert told[REQUESTS.name] == {(): 100}
    assert told[IN_FLIGHT.name] == {(): 2}
    assert of_stub_status({}, 3) == {}


def row(name: str, ok: int, bad: int, status: str = "UP", **more: str) -> dict[str, str]:
    codes = {"hrsp_2xx": str(ok), "hrsp_5xx": str(bad)}
    return {"svname": name, "scur": "2", "status": status, "weight": "1", **codes, **more}


def test_haproxy_tells_codes_and_no_durations_and_what_no_server_answered_has_no_backend() -> None:
    rows = [row("FRONTEND", 9, 9), row("s1", 10, 1), row("s2", 5, 0, "DOWN 1/2"), row("BACKEND", 15, 4)]
    told = of_show_stat(rows, {"s1": 1, "s2": 2})
    requests = told[REQUESTS.name]
    assert requests[labels(backend="s1", code="2xx")] == 10
    assert requests[labels(backend=NO_BACKEND, code="5xx")] == 3
    assert told[UP.name] == {labels(backend="s1"): 1, labels(backend="s2"): 0}
    assert not any(name.startswith(DURATION.name) for name in told)


def test_haproxy_at_layer_4_tells_no_codes() -> None:
    rows = [row("s1", 0, 0) | {"hrsp_2xx": ""}, row("BACKEND", 0, 0) | {"hrsp_2xx": ""}]
    told = of_show_stat(rows, {"s1": 1})
    assert REQUESTS.name not in told
    assert told[IN_FLIGHT.name] == {labels(backend="s1"): 2}


def test_what_clients_see_is_counted_once() -> None:
    counts = ClientCounts(["s1", "s2"])
    rows = [(0.0, 0.0, 0.03, "s1", 0, 0, 200, 1, 0.02), (0.0, None, 1.0, None, 0, 0, 0, 1, 0.0)]
    counts.add(rows)
    told = counts.scrape()
    assert counts.rows == 2
    assert told[REQUESTS.name][labels(backend="s1", code="2xx")] == 1
    assert told[REQUESTS.name][labels(backend=NO_BACKEND, code="none")] == 1
    assert told[REQUESTS.name][labels(backend="s2", code="5xx")] == 0
    buckets = told[f"{DURATION.name}_bucket"]
    assert buckets[labels(backend="s1", le="0.025")] == 0
    assert buckets[labels(backend="s1", le="0.05")] == buckets[labels(backend="s1", le="+Inf")] == 1


@pytest.mark.live
@pytest.mark.parametrize("on", ["live", "nginx", "haproxy"])
def test_a_session_tells_how_many_requests_ended_and_its_clients_count_the_same(on: str) -> None:
    from needs import need

    if on != "live":
        need(on)
    experiment = Experiment(servers(2, service=Constant(0.01)), Traffic(duration=1.5)).at_load(0.3)
    with LiveSession(experiment, on) as session:
        session.wait()
        told, seen = session.metrics(), session.metrics(clients=True)
        count = len(session.since(0))
    assert sum(told[REQUESTS.name].values()) == sum(seen[REQUESTS.name].values()) == count > 10
    assert sum(told[IN_FLIGHT.name].values()) == 0
    durations = f"{DURATION.name}_count"
    assert sum(seen[durations].values()) == count
    assert (durations in told) == (on == "live")
    assert bool(session.untold) == (on != "live")
    bases = {name.removesuffix(end) for name in told for end in ("_bucket", "_count", "_sum")}
    assert bases & set(METRICS)
