from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import need_feature, need_module

need_feature("live")

from lbkit import Constant, Exponential, Server
from lbkit.live import FleetError, LocalFleet
from lbkit.live.docker import why_not

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def fleet() -> Iterator[LocalFleet]:
    with LocalFleet([Server("fast", service=Constant(0.001)), Server("failing", error_rate=1.0)]) as fleet:
        yield fleet


def get(fleet: LocalFleet, name: str, path: str = "/", **headers: str) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(fleet.urls[name] + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_an_answer_names_its_server(fleet: LocalFleet) -> None:
    status, headers, body = get(fleet, "fast")
    assert (status, headers["X-Backend"], len(body)) == (200, "fast", 128)
    assert float(headers["X-Lbkit-Service"]) >= 0.001
    assert get(fleet, "failing")[0] == 500


def test_pages_of_its_own_are_not_for_clients_of_a_proxy(fleet: LocalFleet) -> None:
    """A forwarded request gets work, whatever its path: no load report, and no way to change settings."""
    assert get(fleet, "fast", "/load")[1]["Endpoint-Load-Metrics"]
    for path in ("/load", "/control", "/health", "/health/detail"):
        for field in ({"Via": "1.1 lbkit"}, {"X-Forwarded-For": "203.0.113.7"}):
            assert get(fleet, "fast", path, **field)[2] == b"x" * 128


def test_does_the_work_that_the_request_brings() -> None:
    with LocalFleet([Server("one", speed=2, service=Exponential(1.0))]) as fleet:
        fast, slow = (
            float(get(fleet, "one", **{"X-Lbkit-Demand": u})[1]["X-Lbkit-Service"]) for u in ("0.001", "0.2")
        )
    assert fast < 0.1
    # -ln(1 - 0.2) / 2 is 0.111, less what the one before took too long; a busy machine adds some.
    assert 0.06 < slow < 0.2


def test_health_and_its_details(fleet: LocalFleet) -> None:
    assert get(fleet, "fast", "/health")[0] == 200
    fleet.control("fast", dependencies={"database": "failed"})
    assert get(fleet, "fast", "/health")[0] == 200
    status, _, body = get(fleet, "fast", "/health/detail")
    assert (status, json.loads(body)) == (503, {"status": "unhealthy", "database": "failed"})
    fleet.control("fast", dependencies={}, healthy=False)
    assert get(fleet, "fast", "/health")[0] == 503
    fleet.control("fast", healthy=True)


def test_requests_are_counted_by_client(fleet: LocalFleet) -> None:
    get(fleet, "fast", **{"X-Forwarded-For": "192.0.2.7, 127.0.0.1"})
    assert fleet.control("fast")["callers"]["192.0.2.7"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sped": 2}, "unknown setting sped; known are speed, error_rate"),
        ({"speed": 0}, "speed is 0: use a number above 0"),
        ({"error_rate": 2}, "error_rate is 2: use a number from 0 to 1"),
        ({"size": 1.5}, "size is 1.5: use bytes"),
    ],
)
def test_control_names_the_field(fleet: LocalFleet, changes: dict[str, Any], said: str) -> None:
    before = fleet.control("fast")
    with pytest.raises(FleetError, match=said):
        fleet.control("fast", **changes)
    assert fleet.control("fast")["speed"] == before["speed"]


def test_crash_and_recovery_on_the_same_port() -> None:
    with LocalFleet([Server("s1", service=Constant(0.001))]) as fleet:
        port = fleet["s1"].port
        fleet.crash("s1")
        assert fleet.alive() == {"s1": False}
        with pytest.raises(FleetError, match="'s1' does not answer"):
            fleet.control("s1")
        fleet.recover("s1")
        assert fleet["s1"].port == port
        assert get(fleet, "s1")[0] == 200


def test_unknown_name(fleet: LocalFleet) -> None:
    with pytest.raises(KeyError, match="there are fast, failing"):
        fleet.crash("fats")


def test_a_port_that_is_taken(fleet: LocalFleet) -> None:
    other = LocalFleet([Server("late")])
    other["late"].port = fleet["fast"].port
    with pytest.raises(
        FleetError, match=rf"'late' did not start: port {fleet['fast'].port}: Address already in use"
    ):
        other.start()
    assert other.alive() == {"late": False}


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"  # dead, and not a child of this process
    except FileNotFoundError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="platform: reads /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_backends_do_not_outlive_their_parent(end: signal.Signals) -> None:
    script = """
        import signal, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        from lbkit import servers
        from lbkit.live import LocalFleet
        fleet = LocalFleet(servers(2)).start()
        print(*(fleet[n].popen.pid for n in ("s1", "s2")), flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(end)
        parent.wait(20)
    deadline = 100
    while not all(map(gone, pids)):
        deadline -= 1
        assert deadline, f"{pids} still run"
        signal.sigtimedwait([], 0.1)


def test_an_engine_that_does_not_run_leaves_no_socket_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open sockets are warnings, and warnings are errors here."""
    need_module("docker")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "docker.sock"))  # a file that an engine left behind
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")
    assert why_not().startswith("docker needs a running Docker engine")
    gc.collect()


@pytest.mark.skipif(sys.platform == "win32", reason="platform: process groups")
def test_an_interrupt_from_the_terminal_does_not_reach_the_backends() -> None:
    """It would end those that are starting with a traceback before their parent can stop them."""
    with LocalFleet([Server("s1")]) as fleet:
        popen = fleet["s1"].popen
        assert popen
        assert os.getpgid(popen.pid) != os.getpgid(0)


def test_a_server_that_is_still_starting_has_wasted_no_work(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound, and nobody listens: as a process that has just been started
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(fleet, "port", lambda name: closed.getsockname()[1])
        assert fleet.alive() == {"fast": True, "failing": True}
        assert fleet.wasted() == []
