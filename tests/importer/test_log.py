from __future__ import annotations

import json
from pathlib import Path

import pytest

from lbkit import Exponential, Server, Trace, compare, run, servers
from lbkit.experiment import Experiment
from lbkit.importer import ImportFault, read_log
from lbkit.workload import workload

COMBINED = """\
10.0.0.1 - - [24/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 128 "-" "curl/8" 0.010
10.0.0.2 - bob [24/Nov/2026:10:00:00 +0000] "POST /b?x=1 HTTP/1.1" 201 5 "-" "Mozilla/5.0 (X11)" 0.030
this is no request
10.0.0.1 - - [24/Nov/2026:10:00:03 +0000] "GET /a HTTP/1.1" 200 128 "-" "curl/8" 0.020
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "access.log"
    path.write_text(text)
    return read_log(path)


def test_combined(tmp_path: Path) -> None:
    log = read(tmp_path, COMBINED)
    assert log.times == [0, 0.5, 3]  # two in one second are spread over it
    assert log.clients == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
    assert log.paths == ["/a", "/b?x=1", "/a"]
    assert log.service == [0.01, 0.03, 0.02]
    assert log.not_understood == ["line 3: unknown format: this is no request"]


def test_common_without_times(tmp_path: Path) -> None:
    log = read(tmp_path, '1.2.3.4 - - [24/Nov/2026:10:00:00 +0000] "GET / HTTP/1.0" 304 -\n')
    assert log.service == [None]
    assert log.served() is None
    assert log.traffic().arrivals.demands == ()


@pytest.mark.parametrize(
    "line",
    [
        # nginx, a usual log_format json
        {"time_iso8601": "2026-11-24T10:00:00+00:00", "remote_addr": "10.0.0.9", "request_uri": "/x"}
        | {"request_time": "0.250"},
        {"msec": "1795514400.000", "remote_addr": "10.0.0.9", "request": "GET /x HTTP/1.1"}
        | {"request_time": 0.25},
        # Caddy
        {"ts": 1795514400.0, "duration": 0.25, "request": {"remote_ip": "10.0.0.9", "uri": "/x"}},
    ],
)
def test_json(tmp_path: Path, line: dict) -> None:
    later = json.dumps(line).replace("10:00:00", "10:00:02").replace("1795514400.0", "1795514402.0")
    log = read(tmp_path, json.dumps(line) + "\n" + later)
    assert (log.clients[0], log.paths[0], log.service[0]) == ("10.0.0.9", "/x", 0.25)
    assert log.times == [0, 2]


def test_haproxy(tmp_path: Path) -> None:
    line = (
        "Nov 24 10:00:00 host haproxy[14389]: 10.0.1.2:33317 [24/Nov/2026:10:00:00.655] http-in "
        'static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"'
    )
    log = read(tmp_path, f"{line}\n{line.replace('00.655', '01.655')}\n")
    assert (log.clients[0], log.paths[0], log.service[0]) == ("10.0.1.2", "/index.html", 0.069)
    assert log.times == pytest.approx([0, 1])


def test_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match=r"no line is combined, JSON or HAProxy's format; line 1: unknown"):
        read(tmp_path, "hello\n")


def test_the_requests_are_played_as_they_came(tmp_path: Path) -> None:
    """Client, time, path and service time: each request of the log is one of the workload."""
    log = read(tmp_path, COMBINED)
    experiment = log.played_on(Experiment(servers(2)))
    requests = workload(experiment)
    assert list(requests.arrival) == log.times
    assert list(requests.client) == [0, 1, 0]
    assert list(requests.path) == [0, 1, 0]
    service = experiment.servers[0].service
    assert [service.quantile(u) for u in requests.demand] == log.service
    assert Experiment.from_toml(experiment.to_toml()) == experiment


def test_what_would_least_connections_have_done(tmp_path: Path) -> None:
    """The engineer's question, on a made-up Tuesday: bursts of requests of which some are long."""
    lines = []
    for i in range(2000):
        second, took = i // 40, 0.3 if i % 20 == 0 else 0.02
        lines.append(
            json.dumps(
                {"msec": f"{1795514400 + second + (i % 40) / 40:.3f}", "remote_addr": f"10.0.0.{i % 50}"}
                | {"uri": f"/{i % 7}", "request_time": took}
            )
        )
    log = read(tmp_path, "\n".join(lines))
    tuesday = log.played_on(Experiment([Server(f"s{i}", service=Exponential()) for i in range(3)]))
    assert isinstance(tuesday.traffic.arrivals, Trace)
    turn, fewest = compare(tuesday, ["round_robin", "least_connections"])
    assert len(turn) == 2000
    assert sum(turn.service) == pytest.approx(sum(s or 0 for s in log.service))
    assert fewest.mean < 0.7 * turn.mean
    assert run(tuesday).mean == turn.mean
