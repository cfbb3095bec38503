"""Counts of exchanges by backend."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from administered import wait_until
from scripted import GET, Client, Connection, Script, Scripted, answers, ask

from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.filters.stats import MOST_ROWS, Row, StatsFilter
from lbkit.net.settings import AdminRules
from lbkit.policy import Policy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
ASK_TUNNEL = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@contextmanager
def counted(*scripts: Script, ports: tuple[int, ...] = (), **policy: Any) -> Iterator[tuple[Proxy, Any]]:
    """A proxy that counts, before b1, b2, ..., and its rows."""
    with ExitStack() as stack:
        known = [*ports, *(stack.enter_context(Scripted(script)).port for script in scripts)]
        backends = tuple(BackendConfig(f"127.0.0.1:{port}", f"b{i}") for i, port in enumerate(known, 1))
        config = ProxyConfig(
            backends,
            listen="127.0.0.1:0",
            admin=AdminRules(listen="127.0.0.1:0"),
            policy=Policy("round_robin", **policy),
        )
        with Proxy(config=config) as proxy:
            stats = proxy.filters["stats"]
            assert isinstance(stats, StatsFilter)
            yield proxy, stats.rows


def test_without_an_admin_interface_nothing_is_counted() -> None:
    with Scripted(answers(OK)) as backend:
        config = ProxyConfig((BackendConfig(f"127.0.0.1:{backend.port}"),), listen="127.0.0.1:0")
        with Proxy(config=config) as proxy:
            assert ask(proxy)[0] == 200
            assert proxy.filters == {}
            assert proxy.service.on_origin_done == ()


def test_successes_have_a_latency_and_failures_none() -> None:
    with counted(answers(OK), answers(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as (proxy, rows):
        assert sorted(ask(proxy)[0] for _ in range(4)) == [200, 200, 503, 503]
        assert (rows["b1"].classes[2], sum(rows["b1"].latency.counts.values()), rows["b1"].errors) == (
            2,
            2,
            {},
        )
        assert (rows["b2"].classes[5], rows["b2"].latency.counts) == (2, {})
        assert rows["b2"].errors == {"status 503": 2}


def test_a_retry_counts_where_the_request_ended_and_the_failure_where_it_failed() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with counted(answers(OK), ports=(nobody.getsockname()[1],)) as (proxy, rows):
            assert ask(proxy)[0] == 200
            assert "b1" not in rows
            assert (rows["b2"].classes[2], rows["b2"].retries) == (1, 1)
            assert proxy.service.attempts.failures == {("b1", "refused"): 1}


def test_a_request_without_a_backend_has_a_row_of_its_own() -> None:
    with counted(answers(OK)) as (proxy, rows):
        proxy.call(proxy.pool.set_weight, "b1", 0)
        assert ask(proxy)[0] == 503
        assert rows[""].errors == {"status 503": 1}


def test_the_duration_of_a_websocket_is_no_latency() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(SWITCH)

    with counted(script) as (proxy, rows):
        with Client(proxy) as client:
            client.send(ASK_TUNNEL)
            assert client.answer(head_only=True)[0] == 101
            client.rest()
        wait_until(lambda: "b1" in rows)
        assert (rows["b1"].classes[1], rows["b1"].latency.counts, rows["b1"].errors) == (1, {}, {})


def test_an_answer_that_is_cut_off_is_an_error() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(half)

    with counted(script) as (proxy, rows), Client(proxy) as client:
        client.send(GET)
        with suppress(ConnectionResetError):
            client.rest()
        assert rows["b1"].errors == {"cut off": 1}


def test_there_are_only_so_many_rows() -> None:
    stats = StatsFilter()
    for i in range(MOST_ROWS):
        stats.rows[str(i)] = Row()
    assert stats._new_row("one more") is stats._new_row("and another")
