"""The Locust file by hand: without us, on one process and on several."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Closed, Constant, Experiment, Poisson, Traffic, servers
from lbkit.live import LocalFleet
from lbkit.live.program import free_ports
from lbkit.workload import workload

LOCUSTFILE = Path(__file__).parents[2] / "lbkit" / "live" / "locustfile.py"


@pytest.fixture(scope="module")
def fleet() -> Iterator[LocalFleet]:
    with LocalFleet(servers(1, workers=50, service=Constant(0.005))) as up:
        yield up


def locust(experiment: Experiment, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    file = folder / "experiment.toml"
    file.write_text(experiment.to_toml())
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments],
        env=os.environ | {"LBKIT_EXPERIMENT": str(file)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
    )


def report(folder: Path) -> dict[str, str]:
    """Locust's own, the line of everything together."""
    with (folder / "report_stats.csv").open() as lines:
        return next(row for row in csv.DictReader(lines) if row["Name"] == "Aggregated")


def test_every_request_is_sent_once(fleet: LocalFleet, tmp_path: Path) -> None:
    experiment = Experiment(servers(1), Traffic(Poisson(60), duration=3))
    process = locust(
        experiment, tmp_path, "--headless", "-u", "1", "--host", fleet.urls["s1"], "--csv", "report"
    )
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0, said
    assert int(report(tmp_path)["Request Count"]) == len(workload(experiment))
    assert int(report(tmp_path)["Failure Count"]) == 0


def test_workers_take_turns(fleet: LocalFleet, tmp_path: Path) -> None:
    """Two workers and a master: all requests, none twice."""
    experiment = Experiment(servers(1), Traffic(Poisson(60), duration=3))
    (port,) = free_ports(1)
    before = fleet.control("s1")["served"]
    master = locust(
        experiment,
        tmp_path,
        *("--headless", "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)),
        *("--expect-workers", "2", "-u", "2", "--host", fleet.urls["s1"], "--csv", "report"),
    )
    workers = [
        locust(experiment, tmp_path, "--worker", "--master-host", "127.0.0.1", "--master-port", str(port))
        for _ in range(2)
    ]
    try:
        said = master.communicate(timeout=60)[0].decode()
        for worker in workers:
            said += worker.communicate(timeout=20)[0].decode()
    finally:
        for process in (master, *workers):
            process.kill()
            process.wait()
    assert fleet.control("s1")["served"] - before == len(workload(experiment)), said
    assert int(report(tmp_path)["Request Count"]) == len(workload(experiment))


def test_a_closed_loop_of_users(fleet: LocalFleet, tmp_path: Path) -> None:
    experiment = Experiment(servers(1), Traffic(Closed(users=8, think=0.1), duration=2))
    process = locust(
        experiment,
        tmp_path,
        *("--headless", "-u", "8", "-r", "8", "--host", fleet.urls["s1"], "--csv", "report"),
    )
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0, said
    assert 80 < int(report(tmp_path)["Request Count"]) < 200  # 8 users, a tenth of a second each
    assert int(report(tmp_path)["Failure Count"]) == 0
