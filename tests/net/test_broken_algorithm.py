"""Algorithms that fail, in a proxy on real sockets: it answers, says what is wrong, and can be stopped."""

from __future__ import annotations

import time

import pytest
from scripted import Client, ask, echo, proxied

from lbkit import AlgorithmError, Balancer, make_balancer
from lbkit.core.meter import LoadReport
from lbkit.net import running

pytestmark = pytest.mark.usefixtures("own_algorithms")


@pytest.mark.parametrize("picked", [None, "b1", 0])
def test_a_wrong_pick_is_answered_500_and_reported_once(
    picked: object, capfd: pytest.CaptureFixture[str]
) -> None:
    class Wrong(Balancer):
        def pick(self, backends, key, now):
            return picked

    with proxied(echo) as proxy:
        proxy.call(proxy.pool.switch, Wrong())
        for _ in range(3):
            status, _, body = ask(proxy)
            assert (status, body) == (500, b"500 Internal Server Error: the algorithm wrong failed\n")
        (fault,) = proxy.faults.lines()
        proxy.call(proxy.pool.switch, make_balancer("round_robin"))
        assert ask(proxy)[0] == 200
    assert fault.startswith(f"Wrong.pick returned {picked!r}")
    assert fault.endswith("(3 times)")
    said = capfd.readouterr().err
    assert said.count("\n") == 1  # no traceback
    assert said.startswith(f"lbkit proxy: Wrong.pick returned {picked!r}")


def test_an_endless_pick_is_interrupted_and_the_proxy_keeps_serving() -> None:
    calls = []

    class Endless(Balancer):
        def pick(self, backends, key, now):
            calls.append(key)
            while True:
                pass

    with proxied(echo) as proxy:
        proxy.call(proxy.pool.switch, Endless())
        assert [ask(proxy)[0] for _ in range(20)] == [500] * 20
        assert len(calls) == 1
        (fault,) = proxy.faults.lines()
        assert fault.startswith(f"Endless.pick did not return, and was interrupted; {__file__}, line ")
        proxy.call(proxy.pool.switch, make_balancer("round_robin"))
        assert ask(proxy)[0] == 200


def test_a_proxy_stops_while_a_pick_does_not_end() -> None:
    class Endless(Balancer):
        called = False

        def pick(self, backends, key, now):
            Endless.called = True
            while True:
                pass

    with proxied(echo) as proxy, Client(proxy) as client:
        proxy.call(proxy.pool.switch, Endless())
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not Endless.called:
            time.sleep(0.01)
        proxy.stop(grace=0.0)
        assert not proxy.faults.lines() or "left behind" not in proxy.faults.lines()[-1]


def test_a_thread_blocked_in_c_code_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.2)

    class Asleep(Balancer):
        called = False

        def pick(self, backends, key, now):
            Asleep.called = True
            time.sleep(1.5)

    with proxied(echo) as proxy, Client(proxy) as client:
        proxy.call(proxy.pool.switch, Asleep())
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not Asleep.called:
            time.sleep(0.01)
        thread = proxy._thread._thread
        proxy.stop(grace=0.0)
        assert "left behind" in proxy.faults.lines()[-1]
        assert thread
        thread.join(timeout=20)  # when it is back in Python, it ends after all
        assert not thread.is_alive()


def test_a_switch_to_an_algorithm_that_hangs_is_refused_and_the_old_one_stays() -> None:
    class Building(Balancer):
        def rebuild(self, backends):
            while True:
                pass

    with proxied(echo) as proxy:
        with pytest.raises(AlgorithmError, match=r"Building.rebuild did not return"):
            proxy.call(proxy.pool.switch, Building())
        assert ask(proxy)[0] == 200


@pytest.mark.parametrize("method", ["done", "probe_targets"])
def test_failures_of_other_methods_do_not_delay_answers(method: str) -> None:
    def wrong(self, *_):
        raise LookupError("no")

    def first(self, backends, key, now):
        return backends[0]

    members = {"pick": first, method: wrong, "wants_reports": True}
    with proxied(echo) as proxy:
        proxy.call(proxy.pool.switch, type("Partly", (Balancer,), members)())
        assert [ask(proxy)[0] for _ in range(2)] == [200, 200]
        assert any(f"Partly.{method} raised LookupError: no" in line for line in proxy.faults.lines())
        assert proxy.pool.backends[0].in_flight == 0


def test_probe_targets_must_be_backends() -> None:
    class Asking(Balancer):
        wants_reports = True

        def pick(self, backends, key, now):
            return backends[0]

        def probe_targets(self, backends, now):
            return ["b1"]

        def on_report(self, backend, load: LoadReport, now, probed=False):
            raise AssertionError("nothing is probed")

    with proxied(echo) as proxy:
        proxy.call(proxy.pool.switch, Asking())
        assert ask(proxy)[0] == 200
        assert "Asking.probe_targets returned ['b1']" in proxy.faults.lines()[0]
