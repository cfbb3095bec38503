"""That they run and say what they should; how fast anything is, is not a test's business."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import need, need_feature, need_module

ROOT = Path(__file__).parents[1]


def bench(name: str, *options: str) -> dict[str, Any]:
    """Return what a benchmark measures."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shown(name: str, found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what it prints of that without --json."""
    importlib.import_module(f"benchmarks.{name}").show(found)
    return capsys.readouterr().out


def test_sim(capsys: pytest.CaptureFixture[str]) -> None:
    need_module("simpy")
    found = bench("sim", "--requests", "20000", "--rounds", "1")
    assert found["ratio_vs_simpy"] > 0
    assert found["lbkit_mean_s"] == pytest.approx(found["simpy_mean_s"], rel=0.15)  # the same model
    assert "times as many requests" in shown("sim", found, capsys)


def test_scale(capsys: pytest.CaptureFixture[str]) -> None:
    """3,000 servers in bounded memory, and a sweep over them in processes."""
    found = bench("scale", "--requests", "20000")
    assert found["requests"] == pytest.approx(20_000, rel=0.05)
    assert found["sweep_runs"] == 2
    assert "MiB at most" in shown("scale", found, capsys)


def test_alerts(capsys: pytest.CaptureFixture[str]) -> None:
    found = bench("alerts", "--days", "3")
    assert found["incidents"] == ["crash"]
    assert found["detection"]["ServerDown"]["crash"] > 0
    rates = [row["alerts a day"] for row in found["limits"][:4]]
    assert rates == sorted(rates, reverse=True)
    assert "pages a day by all rules" in shown("alerts", found, capsys)


def test_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    need_module("anywidget")
    need_module("ipykernel")
    found = bench("dashboard", "--seconds", "1", "--count", "2")
    row = found["rows"]["2"]
    assert 0 < row["bytes"] < 500
    assert row["kernel_share"] > 0
    assert "bytes a frame" in shown("dashboard", found, capsys)


@pytest.mark.live
def test_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    """A few of the rows: what differs in the others is only data."""
    for program in ("h2load", "nginx", "haproxy"):
        need(program)
    need_module("aiohttp")
    need_feature("http2", "http3", "live", "cert", "modsecurity")
    rows = [
        "plain",
        "same heads",
        "different heads",
        "log, limit, hide",
        "TLS, resumed",
        "HTTP/2",
        "HTTP/3",
        "cache hit",
        "gzip",
        "firewall",
    ]
    rows += ["TCP, 64 bytes", "UDP, 64 bytes"]
    found = bench("proxy", "--rows", *rows, "--rounds", "1", "--seconds", "0.05", "--idle", "100")
    assert list(found["rows"]) == rows
    for name, row in found["rows"].items():
        assert row["cpu_us"].keys() == row["rate"].keys()
        expected = {"lbkit"} if name == "HTTP/3" else {"lbkit", "nginx"}  # Debian's nginx has no HTTP/3
        assert expected <= row["cpu_us"].keys()
        assert row["missing"] == {}
        assert all(us >= 0 for us in row["cpu_us"].values())
    assert found["rows"]["UDP, 64 bytes"]["cpu_us"].keys() == {"lbkit", "nginx"}  # HAProxy has no UDP
    assert found["idle_connection_bytes"]["lbkit"] < 20 * 1024
    text = shown("proxy.__main__", found, capsys)
    assert all(row in text for row in rows)
    assert "(aim: 1.3 x)" in text


@pytest.mark.live
def test_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    for program in ("h2load", "nginx"):
        need(program)
    need_feature("live", "cert")
    found = bench("metrics", "--requests", "200", "--rounds", "2")
    assert list(found["rows"]) == ["nothing", "counts", "histograms"]
    assert found["rows"]["nothing"]["ratio"] == 1
    assert found["ratio_vs_nothing"] == found["rows"]["histograms"]["ratio"] > 0
    assert all(0 < row["low"] <= row["ratio"] <= row["high"] for row in found["rows"].values())
    assert "aim: 1.03" in shown("metrics", found, capsys)


def test_pick(capsys: pytest.CaptureFixture[str]) -> None:
    need_module("uhashring")
    found = bench("pick", "--picks", "200", "--rounds", "1", "--sizes", "10", "100")
    for cost in found["algorithms"].values():
        for row in (cost, cost["weighted"]):
            assert row["ns_per_pick"].keys() == row["rebuild_ms"].keys() == {"10", "100"}
            assert all(ms >= 0 for ms in row["rebuild_ms"].values())
    assert found["ring_build_ratio_vs_uhashring"] > 0
    assert "ns a pick" in shown("pick", found, capsys)


def test_limit(capsys: pytest.CaptureFixture[str]) -> None:
    need_module("limits")
    need_module("throttled", "throttled-py")
    need_module("redis")
    found = bench("limit", "--decisions", "500", "--rounds", "1", "--sizes", "1", "100")
    assert found["ns_per_decision"]["gcra"].keys() == {"1", "100"}
    assert found["ratio_vs_limits"].keys() == {"fixed_window", "sliding_counter", "sliding_log"}
    assert all(20 < size < 5000 for size in found["bytes_per_key"].values())
    assert "ns a decision" in shown("limit", found, capsys)
    need("redis-server")
    assert found["redis"].keys() == {"lbkit", "limits", "throttled-py"}


@pytest.mark.live
def test_drills() -> None:
    """On the simulator; tests/test_drills.py has what they show, there and on processes."""
    found = bench("drills", "--engines", "sim")
    assert found["figures"].keys() == {"kill", "deploy", "hang", "flap", "storm"}
    assert all(row.keys() == {"sim"} for rows in found["figures"].values() for row in rows.values())
    assert found["refused"] == {}


@pytest.mark.live
def test_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    need("nginx")
    found = bench("agreement", "--programs", "nginx", "--duration", "1", "--seeds", "1")
    (row,) = found["rows"]
    assert row["algorithm"] == "least_connections"
    assert row["live"] > 0.01 < row["own"]
    assert "own version" in shown("agreement", found, capsys)


def test_proxy_inside(capsys: pytest.CaptureFixture[str]) -> None:
    found = bench("proxy.inside", "--rounds", "2")
    assert {"same heads", "different heads", "retries", "hide"} <= found["us"].keys()
    assert all(row.keys() == {"in", "out"} and min(row.values()) > 0 for row in found["us"].values())
    assert "same heads" in shown("proxy.inside", found, capsys)
