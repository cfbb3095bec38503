"""Backends by name: the pool follows a name's addresses, without a restart and without a lost request."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest
from scripted import GET, TIMEOUT, Client, Connection, Scripted, answers, ask

from lbkit.core import Intent
from lbkit.core.drain import DrainRules
from lbkit.net import Proxy
from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig
from lbkit.net.names import Names
from lbkit.policy import Policy

WEB = BackendConfig("web:80", resolve=True, weight=2)
FIXED = BackendConfig("10.9.9.9:80", name="web:80 fixed")  # its name looks like one of WEB's


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Make names resolve to these addresses, and to what is done to the list later; empty: not at all."""
    found = list(addresses)

    def look_up(host: str, port: int) -> list[str]:
        if not found:
            raise ConfigError(f"{host}: not known")
        return list(found)

    for module in ("lbkit.net.config.backends", "lbkit.net.names"):
        monkeypatch.setattr(f"{module}.look_up", look_up)
    return found


@pytest.mark.parametrize("balancers", [1, 3])
def test_new_addresses_join_and_old_ones_drain(monkeypatch: pytest.MonkeyPatch, balancers: int) -> None:
    resolving(monkeypatch, "10.0.0.1", "10.0.0.2")
    config = ProxyConfig((WEB, FIXED), policy=Policy(balancers=balancers))
    pool, said = config.pool(), []
    names = Names(pool, config.backends, 1.0, said.append)

    def eligible() -> list[str]:
        return [b.name.removeprefix("web:80 ") for b in pool.eligible]

    assert eligible() == ["10.0.0.1", "10.0.0.2", "fixed"]
    lease = pool.acquire("", 0.0)
    while not lease.backend.name.endswith("10.0.0.2"):
        lease.release(True, 0.0)
        lease = pool.acquire("", 0.0)
    names.update(WEB, ["10.0.0.1", "10.0.0.3"])
    assert eligible() == ["10.0.0.1", "fixed", "10.0.0.3"]
    assert {b.weight for b in pool.backends if b.host != "10.9.9.9"} == {2}
    names.remove_drained()
    assert {b.intent for b in pool.all_backends() if b.host == "10.0.0.2"} == {Intent.DRAIN}  # still at work
    names.update(WEB, ["10.0.0.1", "10.0.0.2"])
    assert eligible() == ["10.0.0.1", "10.0.0.2", "fixed"]
    names.update(WEB, ["10.0.0.1"])
    lease.release(True, 1.0)
    names.remove_drained()
    assert [b.host for b in pool.backends] == ["10.0.0.1", "10.9.9.9"]
    assert said == [
        "web:80 10.0.0.3 joins",
        "web:80 10.0.0.2 drains: its address is gone",
        "web:80 10.0.0.2 is back",
        "web:80 10.0.0.3 drains: its address is gone",
        "web:80 10.0.0.2 drains: its address is gone",
    ]


def test_an_address_that_is_back_stays_as_the_operator_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "10.0.0.1", "10.0.0.2")
    config = ProxyConfig((WEB,))
    pool = config.pool()
    names = Names(pool, config.backends, 1.0, lambda line: None)
    pool.set_intent("web:80 10.0.0.2", Intent.DRAIN, 0.0)
    names.update(WEB, ["10.0.0.1"])
    names.update(WEB, ["10.0.0.1", "10.0.0.2"])
    assert pool["web:80 10.0.0.2"].intent is Intent.DRAIN


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="platform: 127.0.0.2 is an address on Linux only")
def test_a_running_proxy_follows_the_name(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + word for word in (b"old", b"new")]
    with Scripted(answers(said[0])) as old, Scripted(answers(said[1]), "127.0.0.2", old.port):
        found = resolving(monkeypatch, "127.0.0.1")
        backend = BackendConfig(f"localhost:{old.port}", resolve=True)
        with Proxy(config=ProxyConfig((backend,), "127.0.0.1:0", lookup_interval=0.02)) as proxy:
            with Client(proxy) as client:
                client.send(GET)
                assert client.answer()[2] == b"old"
                found[:] = ["127.0.0.2"]
                until(lambda: [b.host for b in proxy.pool.backends] == ["127.0.0.2"])
                client.send(GET)
                assert client.answer()[2] == b"new"  # on the same connection
            found.clear()  # the name is not known for a while
            until(lambda: "keeping the addresses" in capfd.readouterr().err)
            assert ask(proxy)[2] == b"new"


@pytest.mark.skipif(sys.platform != "linux", reason="platform: 127.0.0.2 is an address on Linux only")
def test_a_request_at_an_old_address_has_the_time_of_a_drain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def holds(connection: Connection) -> None:
        connection.head()
        over.wait(TIMEOUT)

    new = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
    with Scripted(holds) as old, Scripted(new, "127.0.0.2", old.port):
        found = resolving(monkeypatch, "127.0.0.1")
        backend = BackendConfig(f"localhost:{old.port}", resolve=True)
        policy = Policy(drain=DrainRules(timeout=0.2))
        config = ProxyConfig((backend,), "127.0.0.1:0", lookup_interval=0.02, policy=policy)
        with Proxy(config=config) as proxy, Client(proxy) as client:
            client.send(GET)
            until(lambda: proxy.pool.backends[0].in_flight == 1)
            found[:] = ["127.0.0.2"]
            assert client.answer()[2] == b"new"  # cut off there, and sent to the new address
            until(lambda: [b.host for b in proxy.pool.backends] == ["127.0.0.2"])
        over.set()


def test_the_interval_is_above_0() -> None:
    with pytest.raises(ConfigError, match=r"lookup_interval is .*: use a number above 0"):
        ProxyConfig.from_dict({"backends": [{"address": "a:1"}], "lookup_interval": 0})
