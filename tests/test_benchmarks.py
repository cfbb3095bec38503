"""That they run and say what they should; how fast anything is, is not a test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need, need_feature, need_module

ROOT = Path(__file__).parents[1]


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sim() -> None:
    need_module("simpy")
    few = ("--requests", "20000", "--rounds", "1")
    found = json.loads(bench("benchmarks.sim", "--json", *few))
    assert found["ratio_vs_simpy"] > 0
    assert found["lbkit_mean_s"] == pytest.approx(found["simpy_mean_s"], rel=0.15)  # the same model
    assert "times as many requests" in bench("benchmarks.sim", *few)


def test_proxy() -> None:
    for program in ("wrk", "nginx", "haproxy"):
        need(program)
    need_module("aiohttp")
    brief = ("--seconds", "1", "--rounds", "1")
    found = json.loads(bench("benchmarks.proxy", "--json", *brief))
    ratios = ("cpu_ratio_vs_nginx", "cpu_ratio_vs_haproxy", "rps_ratio_vs_aiohttp")
    assert all(0.1 < found[ratio] < 100 for ratio in ratios)
    assert found["idle_connection_bytes"]["lbkit"] < 20 * 1024
    assert "CPU us/request" in bench("benchmarks.proxy", *brief)


def test_http2() -> None:
    for program in ("h2load", "nginx"):
        need(program)
    need_feature("http2", "live")
    brief = ("--requests", "500", "--rounds", "1")
    found = json.loads(bench("benchmarks.http2", "--json", *brief))
    assert all(0.1 < found[f"http2_cpu_ratio_vs_{other}"] < 100 for other in ("http1", "nginx"))
    assert "CPU us/request" in bench("benchmarks.http2", *brief)


def test_firewall() -> None:
    for program in ("wrk", "nginx"):
        need(program)
    need_feature("modsecurity", "live")
    brief = ("--seconds", "1", "--rounds", "1")
    found = json.loads(bench("benchmarks.firewall", "--json", *brief))
    assert 0 < found["signatures_us"] < found["modsecurity_us"]


def test_layer4() -> None:
    for program in ("nginx", "haproxy"):
        need(program)
    brief = ("--seconds", "0.3", "--rounds", "1", "--connections", "5")
    found = json.loads(bench("benchmarks.layer4", "--json", *brief))
    assert found["cpu_ratio_vs_haproxy"].keys() == {"tcp_64", "tcp_16384"}
    assert found["cpu_ratio_vs_nginx"].keys() == {"tcp_64", "tcp_16384", "udp_64"}
    assert "CPU us/round trip" in bench("benchmarks.layer4", *brief)


def test_pick() -> None:
    need_module("uhashring")
    brief = ("--picks", "200", "--rounds", "1", "--sizes", "10", "100")
    found = json.loads(bench("benchmarks.pick", "--json", *brief))
    for cost in found["algorithms"].values():
        for row in (cost, cost["weighted"]):
            assert row["ns_per_pick"].keys() == row["rebuild_ms"].keys() == {"10", "100"}
            assert all(ms >= 0 for ms in row["rebuild_ms"].values())
    assert found["ring_build_ratio_vs_uhashring"] > 0
    assert "ns a pick" in bench("benchmarks.pick", *brief)


def test_limit() -> None:
    need_module("limits")
    need_module("throttled", "throttled-py")
    need_module("redis")
    brief = ("--decisions", "500", "--rounds", "1", "--sizes", "1", "100")
    found = json.loads(bench("benchmarks.limit", "--json", *brief))
    assert found["ns_per_decision"]["gcra"].keys() == {"1", "100"}
    assert found["ratio_vs_limits"].keys() == {"fixed_window", "sliding_counter", "sliding_log"}
    assert all(20 < size < 5000 for size in found["bytes_per_key"].values())
    need("redis-server")
    assert found["redis"].keys() == {"lbkit", "limits", "throttled-py"}
    assert "ns a decision" in bench("benchmarks.limit", *brief)


def test_drills() -> None:
    """On the simulator; tests/test_drills.py has what they show, there and on processes."""
    found = json.loads(bench("benchmarks.drills", "--json", "--engines", "sim"))
    assert found["figures"].keys() == {"kill", "deploy", "hang", "flap", "storm"}
    assert all(row.keys() == {"sim"} for rows in found["figures"].values() for row in rows.values())
    assert found["refused"] == {}
    assert "kill -9 one in three" in bench("benchmarks.drills", "--engines", "sim", "--drills", "kill")


def test_agreement() -> None:
    need("nginx")
    brief = ("--programs", "nginx", "--duration", "1", "--seeds", "1")
    (row,) = json.loads(bench("benchmarks.agreement", "--json", *brief))["rows"]
    assert row["algorithm"] == "least_connections"
    assert row["live"] > 0.01 < row["own"]
    assert "own version" in bench("benchmarks.agreement", *brief)


def test_cache() -> None:
    for program in ("wrk", "nginx"):
        need(program)
    brief = ("--seconds", "1", "--rounds", "1")
    found = json.loads(bench("benchmarks.cache", "--json", *brief))
    assert 0.1 < found["cpu_ratio_vs_nginx"] < 100
    assert "of CPU a request" in bench("benchmarks.cache", *brief)
