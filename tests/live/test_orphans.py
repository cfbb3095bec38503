"""Whatever starts processes may be killed: nothing of it is left. A test for each kind of process."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from needs import need, need_feature

need_feature("live")
import psutil

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform == "win32", reason="platform: no SIGKILL"),
]

SESSION = """
    from lbkit import servers, Experiment, Traffic
    from lbkit.live import LiveSession
    session = LiveSession(Experiment(servers(2), Traffic(duration=300)), {on!r}).start()
"""
# Kind -> (what it needs, a script that starts it, the least number of processes).
KINDS = {
    "backends, Locust and its guard": ("", SESSION.format(on="live"), 4),
    "nginx": ("nginx", SESSION.format(on="nginx"), 7),
    "haproxy": ("haproxy", SESSION.format(on="haproxy"), 7),
    "apache": ("apache2", SESSION.format(on="apache"), 7),
    "caddy": ("caddy", SESSION.format(on="caddy"), 6),
    "Locust that only starts": (
        "",
        """
            import threading
            from lbkit import servers, Experiment, Traffic
            from lbkit.live import Load
            load = Load(Experiment(servers(1), Traffic(duration=300)), "http://127.0.0.1:1")
            threading.Thread(target=load.start, daemon=True).start()
            while not load._locust or not load._locust.processes():
                time.sleep(0.01)
        """,
        2,
    ),
    "Redis": (
        "redis-server",
        """
            from lbkit.live.redis_server import RedisServer
            server = RedisServer().start()
        """,
        2,
    ),
    "Prometheus and Alertmanager": (
        "prometheus alertmanager",
        """
            from lbkit.live.monitor import alertmanager_config, prometheus_config
            from lbkit.live.monitor.programs import Alertmanager, Prometheus
            files = {"alertmanager.yml": alertmanager_config("http://127.0.0.1:9/alerts")}
            alertmanager = Alertmanager(files).start()
            files = {"prometheus.yml": prometheus_config(["127.0.0.1:9"], rule_files=())}
            prometheus = Prometheus(files).start()
        """,
        4,
    ),
    "workers of a sweep": (
        "",
        """
            import threading
            from lbkit import Constant, Experiment, Traffic, servers, sweep

            def report():
                while not psutil.Process().children():
                    time.sleep(0.05)
                time.sleep(1)
                started()

            threading.Thread(target=report, daemon=True).start()
            long = Experiment(servers(3, service=Constant(0.001)), Traffic(duration=300)).at_load(0.9)
            sweep(long, {"seed": range(200)}, progress=False)
        """,
        1,
    ),
    "workers of a proxy": (
        "",
        """
            import threading
            from lbkit.net.serve import main

            def report():
                while len(psutil.Process().children()) < 2:
                    time.sleep(0.05)
                started()

            threading.Thread(target=report, daemon=True).start()
            main("proxy.toml")
        """,
        2,
    ),
}
START = """
    import psutil, sys, time

    def started():
        print(*(p.pid for p in psutil.Process().children(recursive=True)), flush=True)

"""


def gone(process: psutil.Process) -> bool:
    try:  # a zombie is left where the parent does not wait for its children
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outlives_a_parent_that_is_killed(kind: str, tmp_path: Path) -> None:
    programs, script, least = KINDS[kind]
    for program in programs.split():
        need(program)
    (tmp_path / "proxy.toml").write_text(
        'listen = "127.0.0.1:0"\nworkers = 2\n[[backends]]\naddress = "127.0.0.1:9"\n'
    )
    code = textwrap.dedent(START) + textwrap.dedent(script) + "started()\ntime.sleep(300)\n"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout
        started = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(started) >= least, started
    end = time.monotonic() + 60
    while left := [p for p in started if not gone(p)]:
        assert time.monotonic() < end, left
        time.sleep(0.05)
