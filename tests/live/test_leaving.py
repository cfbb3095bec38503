"""A backend that is told to end: it fails readiness, finishes what it has, and exits."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request

import pytest
from needs import need_module

need_module("uvicorn")

from lbkit import CheckRules, HealthRules, Policy, Probe, Server
from lbkit.distributions import Constant
from lbkit.live import LocalFleet
from lbkit.net import BackendConfig, Proxy, ProxyConfig

pytestmark = pytest.mark.live

NOTICE = 2.0


def status(url: str, data: bytes | None = None) -> int:
    """Return the status of an answer; 0 without one."""
    try:
        with urllib.request.urlopen(url, data, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def test_it_fails_readiness_first_then_finishes_then_exits() -> None:
    slow = Server("s1", workers=4, service=Constant(1.5))
    with LocalFleet([slow], notice=NOTICE) as fleet:
        url = fleet.urls["s1"]
        popen = fleet["s1"].popen
        assert popen
        answers: list[int] = []
        running = threading.Thread(target=lambda: answers.append(status(f"{url}/work", b"x")))
        ending = threading.Thread(target=fleet.terminate, args=("s1",))
        began = time.monotonic()
        ending.start()
        while status(f"{url}/health") == 200:
            assert time.monotonic() - began < NOTICE / 2
        assert status(f"{url}/health") == 503
        running.start()  # it still serves, for its notice, and finishes later
        running.join()
        ending.join()
        assert answers == [200]
        assert popen.returncode == 0
        assert time.monotonic() - began > 1.5  # not before the request had ended
        assert status(f"{url}/health") == 0


def test_checks_take_it_out_before_it_refuses_so_that_no_request_fails() -> None:
    """Requests that may not be repeated, one after the other, until a second after it has gone."""
    two = [Server(name, workers=4, service=Constant(0.01)) for name in ("s1", "s2")]
    checks = CheckRules(interval=0.2, timeout=0.2, rise=2, fall=2, probe=Probe(path="/health"))
    policy = Policy("round_robin", retries=0, health=HealthRules(checks=checks))
    with LocalFleet(two, notice=NOTICE) as fleet:
        there = tuple(BackendConfig(b.address, b.name) for b in fleet.backends())
        with Proxy(config=ProxyConfig(there, listen="127.0.0.1:0", policy=policy)) as proxy:
            ending = threading.Thread(target=fleet.terminate, args=("s1",))
            seen: list[int] = []
            until = time.monotonic() + NOTICE + 1
            ending.start()
            while time.monotonic() < until or ending.is_alive():
                seen.append(status(proxy.url, b"x"))
            ending.join()
            assert len(seen) > 20
            assert set(seen) == {200}
            assert not proxy.pool["s1"].healthy
