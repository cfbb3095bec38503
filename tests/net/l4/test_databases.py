"""Real databases behind the TCP proxy: long connections, pools, and a replica that leaves or dies."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from needs import need_feature, need_module
from scripted import TIMEOUT
from served import wait_until

need_feature("postgres", "redis")
need_module("redis")

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from lbkit import Backend, Pool, make_balancer
from lbkit.core import Intent
from lbkit.core.drain import DrainRules
from lbkit.live.postgres_server import USER, PostgresServer
from lbkit.live.redis_server import RedisServer
from lbkit.net.l4.tcp import TcpProxy
from lbkit.run import EngineError

pytestmark = pytest.mark.live

CLIENTS = 6


def pool(*ports: int, **options: object) -> Pool:
    backends = [Backend(f"s{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports)]
    return Pool(backends, make_balancer("round_robin"), **options)  # type: ignore[arg-type]


def drain(proxy: TcpProxy, name: str) -> None:
    proxy.call(proxy.set_intent, name, Intent.DRAIN)


def states(proxy: TcpProxy) -> dict[str, str]:
    (only,) = proxy.pools
    return proxy.call(lambda: {b.name: only.drains.state(b.name).value for b in only.backends})


def in_flight(proxy: TcpProxy) -> dict[str, int]:
    (only,) = proxy.pools
    return proxy.call(lambda: {b.name: b.in_flight for b in only.backends})


# -- Redis, with redis-py's pool ------------------------------------------------------------------------


@contextmanager
def redis_pool(proxy: TcpProxy, retries: int = 0) -> Iterator[Redis]:
    connections = BlockingConnectionPool(
        max_connections=CLIENTS,
        host=proxy.host,
        port=proxy.port,
        socket_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), retries),
    )
    with Redis(connection_pool=connections) as client:
        yield client
        connections.disconnect()


def at_once(action: Callable[[], str]) -> list[str]:
    """What as many threads get as there are connections in the pool."""
    results: list[str] = []
    together = threading.Barrier(CLIENTS)

    def run() -> None:
        together.wait(TIMEOUT)
        results.append(action())

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    return results


@contextmanager
def two_redis() -> Iterator[list[RedisServer]]:
    with RedisServer() as one, RedisServer() as two:
        for i, server in enumerate((one, two)):
            with Redis(port=server.port) as client:
                client.set("name", f"s{i}")
        yield [one, two]


def named_by(client: Redis) -> Callable[[], str]:
    def name() -> str:
        client.blpop(["nothing"], timeout=0.2)  # keeps the connection for a while
        return client.get("name").decode()  # type: ignore[union-attr]

    return name


def test_a_pool_keeps_its_connections_to_a_draining_replica_until_they_are_cut() -> None:
    with two_redis() as replicas, ExitStack() as stack:
        rules = DrainRules(timeout=1.0)
        proxy = stack.enter_context(TcpProxy(pool(*(r.port for r in replicas), drain=rules)))
        client = stack.enter_context(redis_pool(proxy, retries=1))
        assert set(at_once(named_by(client))) == {"s0", "s1"}
        before = proxy.accepted
        assert before <= CLIENTS
        drain(proxy, "s0")
        # The pool has its connections, and does not know: half of them still lead to the replica that drains.
        assert client.get("name")
        assert in_flight(proxy)["s0"] > 0
        assert states(proxy) == {"s0": "draining", "s1": "ready"}
        wait_until(lambda: states(proxy)["s0"] == "drained" and in_flight(proxy)["s0"] == 0)
        # Cut off, each of them connects anew, to the other one; one retry is enough that nobody notices.
        assert set(at_once(named_by(client))) == {"s1"}
        assert proxy.accepted > before


def test_without_retries_the_users_of_a_pool_see_a_killed_replica_once_for_each_connection() -> None:
    with two_redis() as replicas, ExitStack() as stack:
        proxy = stack.enter_context(TcpProxy(pool(*(r.port for r in replicas))))
        client = stack.enter_context(redis_pool(proxy))
        name = named_by(client)
        at_once(name)
        lost = in_flight(proxy)["s0"]
        assert lost > 0
        replicas[0].kill()

        def outcome() -> str:
            try:
                return name()
            except RedisConnectionError:
                return "lost"

        seen = [outcome_ for _ in range(3) for outcome_ in at_once(outcome)]
        assert seen.count("lost") <= lost
        assert set(seen[-CLIENTS:]) == {"s1"}  # new connections that s0 refuses go to s1


# -- PostgreSQL, with pgbench and psql ------------------------------------------------------------------


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[PostgresServer]]:
    with PostgresServer() as one, PostgresServer() as two:
        for i, server in enumerate((one, two)):
            server.query(f"create table me as select 's{i}' as name")
            server.query("create table big as select repeat('x', 1000) from generate_series(1, 3000)")
        yield [one, two]


def bench(server: PostgresServer, port: int, script: Path, seconds: int) -> subprocess.Popen[str]:
    """pgbench, with a connection for each of its clients that lasts."""
    place = ["-h", "127.0.0.1", "-p", str(port), "-U", USER]
    return subprocess.Popen(
        [
            server.tool("pgbench"),
            *place,
            "-n",
            "-c",
            str(CLIENTS),
            "-T",
            str(seconds),
            "-f",
            str(script),
            "postgres",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "select.sql"
    path.write_text("select name from me;\nselect pg_sleep(0.005);\n")
    return path


def test_queries_and_large_answers_pass(replicas: list[PostgresServer]) -> None:
    with TcpProxy(pool(*(r.port for r in replicas))) as proxy:
        names = [replicas[0].query("select name from me", proxy.port) for _ in range(4)]
        assert names == ["s0", "s1", "s0", "s1"]
        copied = replicas[0].query("copy big to stdout", proxy.port)
        assert len(copied.splitlines()) == 3000
        assert len(copied) > 3_000_000


def test_a_drain_waits_for_long_connections_which_notice_nothing(
    replicas: list[PostgresServer], script: Path
) -> None:
    with TcpProxy(pool(*(r.port for r in replicas))) as proxy:
        running = bench(replicas[0], proxy.port, script, 3)
        wait_until(lambda: sum(in_flight(proxy).values()) == CLIENTS)
        drain(proxy, "s0")
        assert in_flight(proxy) == {"s0": CLIENTS // 2, "s1": CLIENTS // 2}
        # New connections go to the other one.
        assert {replicas[0].query("select name from me", proxy.port) for _ in range(3)} == {"s1"}
        assert states(proxy)["s0"] == "draining"
        said, _ = running.communicate(timeout=60)
        assert running.returncode == 0, said
        assert "number of failed transactions: 0" in said
        wait_until(lambda: states(proxy)["s0"] == "drained")


def test_a_killed_replica_takes_its_connections_with_it_and_no_new_ones(script: Path) -> None:
    with PostgresServer() as one, PostgresServer() as two:
        for i, server in enumerate((one, two)):
            server.query(f"create table me as select 's{i}' as name")
        with TcpProxy(pool(one.port, two.port)) as proxy:
            running = bench(one, proxy.port, script, 4)
            wait_until(lambda: sum(in_flight(proxy).values()) == CLIENTS)
            time.sleep(0.3)
            one.kill()
            said, _ = running.communicate(timeout=60)
            assert said.count("aborted in command") == CLIENTS // 2, said  # those of s1 go on to the end
            assert running.returncode == 2  # "run was aborted" for some clients
            assert {two.query("select name from me", proxy.port) for _ in range(4)} == {"s1"}
            assert in_flight(proxy)["s0"] == 0


def test_a_program_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.live.server.find_program", lambda names: None)
    with pytest.raises(EngineError, match="initdb is not installed: apt-get install postgresql"):
        PostgresServer().__enter__()
