"""Algorithms that ask, and backends that answer, or do not."""

from __future__ import annotations

import time

import pytest
from scripted import TIMEOUT, Connection, ask, proxied

from lbkit import Balancer
from lbkit.net import Proxy
from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig


class Asker(Balancer):
    """Picks the first, and asks everybody."""

    wants_reports = True

    def __init__(self) -> None:
        self.heard: list[tuple[str, float, bool]] = []

    def pick(self, backends, key, now):
        return backends[0]

    def probe_targets(self, backends, now):
        return backends

    def on_report(self, backend, load, now, probed=False):
        self.heard.append((backend.name, load.utilisation, probed))


def telling(load: float):
    """Answers; questions for the load with it, in no body."""

    def script(connection: Connection) -> None:
        while head := connection.head():
            if head.startswith(b"GET /load "):
                assert b"\r\nHost: 127.0.0.1:" in head
                field = b"Endpoint-Load-Metrics: TEXT cpu_utilization=%.2f\r\n" % load
                connection.send(b"HTTP/1.1 204 No Content\r\n" + field + b"\r\n")
            else:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return script


def silent(connection: Connection) -> None:
    """Reads, and says nothing."""
    while connection.head():
        pass


def until(true) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_every_backend_is_probed_and_its_report_used() -> None:
    asker = Asker()
    with proxied(telling(0.25), telling(0.5)) as proxy:
        proxy.call(proxy.pool.switch, asker)
        for _ in range(5):
            assert ask(proxy)[2] == b"ok"
            until(lambda: not proxy.reports.probing)
        assert set(asker.heard) == {("b1", 0.25, True), ("b2", 0.5, True)}
        assert len(asker.heard) == 10
        assert sum(b.connections for b in proxy.scripted) <= 3  # kept, and used again


def test_a_silent_backend_has_at_most_one_probe_in_flight() -> None:
    asker = Asker()
    with proxied(telling(0.25), silent) as proxy:
        proxy.call(proxy.pool.switch, asker)
        for _ in range(20):
            assert ask(proxy)[0] == 200
        assert proxy.scripted[1].connections == 1
        until(lambda: not proxy.reports.probing)  # patience ends
        assert {name for name, _, _ in asker.heard} == {"b1"}


def test_probes_of_a_dead_backend_do_no_harm() -> None:
    asker = Asker()
    with proxied(telling(0.25), silent) as proxy:
        proxy.scripted[1].close()
        proxy.call(proxy.pool.switch, asker)
        for _ in range(5):
            assert ask(proxy)[0] == 200
        until(lambda: not proxy.reports.probing)


def test_a_stop_does_not_wait_for_answers() -> None:
    with proxied(telling(0.25), silent) as proxy:
        proxy.call(proxy.pool.switch, Asker())
        ask(proxy)
        assert proxy.reports.probing
        start = time.monotonic()
        proxy.stop(grace=0.5)
        assert time.monotonic() - start < TIMEOUT / 4


def test_an_algorithm_that_fails_to_choose_probe_targets(capfd: pytest.CaptureFixture[str]) -> None:
    class Clumsy(Asker):
        def probe_targets(self, backends, now):
            raise RuntimeError("whom?")

        def on_report(self, backend, load, now, probed=False):
            raise RuntimeError("what?")

    with proxied(telling(0.25)) as proxy:
        proxy.call(proxy.pool.switch, Clumsy())
        assert ask(proxy)[0] == 200
        assert ask(proxy)[0] == 200
    assert "Clumsy.probe_targets raised RuntimeError: whom?" in capfd.readouterr().err


def test_clients_do_not_get_at_load_reports() -> None:
    """Neither in the fields of an answer nor at the page that is probed, while it is probed."""
    get_load = b"GET /load%b HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"
    for expose, status in ((False, 404), (True, 204)):
        with proxied(telling(0.25), expose=expose) as proxy:
            assert ask(proxy, get_load % b"")[0] == 204  # a page like any other
            proxy.call(proxy.pool.switch, Asker())
            answered, head, _ = ask(proxy, get_load % b"")
            assert answered == status
            assert (b"cpu_utilization" in head) is expose
            for other in (b"/load?x", b"//load", b"/%6coad", b"/./load", b"/x/../load"):
                if not expose:  # else the script would have to know them
                    assert ask(proxy, get_load.replace(b"/load%b", other))[0] == 404


def test_the_probe_path_is_checked() -> None:
    with pytest.raises(ConfigError, match="probe is 'load': use a path, such as /load"):
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], "probe": "load"})
    config = ProxyConfig((BackendConfig("127.0.0.1:1"),), probe="/status?load")
    assert Proxy(config=config).reports.path == "/status?load"
