"""The admin API of a running proxy with several workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from administered import TOKEN, Served, wait_until
from scripted import Scripted, answers

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
RULES = """
workers = 2
[policy.health.breaker]
open_for = 600.0
[policy.sticky]
secret = "0123456789-very-secret"
"""


def backends(*ports: int) -> str:
    return "".join(
        f'\n[[backends]]\nname = "web{i}"\naddress = "127.0.0.1:{port}"' for i, port in enumerate(ports, 1)
    )


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[int, int]]:
    with_two = Scripted(answers(OK)), Scripted(answers(OK))
    yield with_two[0].port, with_two[1].port
    for backend in with_two:
        backend.close()


@pytest.fixture(scope="module")
def proxy(there: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("api"), RULES + backends(*there)) as served:
        yield served


def test_the_figures_of_several_workers_add_up(proxy: Served) -> None:
    before = proxy.get("/api/stats")["totals"]
    for _ in range(30):
        assert proxy.ask() == 200
    after = proxy.get("/api/stats")["totals"]
    assert after["requests"] - before["requests"] == 30
    assert after["answers"]["2xx"] - before["answers"]["2xx"] == 30
    assert after["latency"]["p50"] <= after["latency"]["p99"] < 20
    rows = proxy.get("/api/backends")
    assert sum(row["counts"]["requests"] for row in rows) == after["requests"]
    workers = proxy.get("/api/workers")
    assert [worker["state"] for worker in workers] == ["serving"] * 2
    assert sum(worker["requests"] for worker in workers) == after["requests"]


def test_a_weight_of_zero_takes_a_backend_out_in_every_worker(proxy: Served) -> None:
    changed = proxy.change("PATCH", "/api/backends/web1", {"weight": 0})
    assert (changed["weight"], changed["state"], changed["states"]) == (0, "no weight", {"no weight": 2})
    before = changed["counts"]["requests"]
    for _ in range(10):
        assert proxy.ask() == 200
    assert proxy.backend("web1")["counts"]["requests"] == before
    assert proxy.change("PATCH", "/api/backends/web1", {"weight": 1})["state"] == "up"


def test_drain_and_ready(proxy: Served) -> None:
    drained = proxy.change("PATCH", "/api/backends/web2", {"intent": "drain"})
    assert (drained["intent"], drained["gets_requests"]) == ("drain", False)
    assert wait_until(lambda: proxy.backend("web2")["change"])["kind"] == "drain"
    ready = proxy.change("PATCH", "/api/backends/web2", {"intent": "ready"})
    assert (ready["state"], ready["gets_requests"]) == ("up", True)


def test_a_breaker_is_tripped_and_reset(proxy: Served) -> None:
    row = proxy.change("PUT", "/api/backends/web1/breaker", {"state": "open"})
    assert (row["breaker"], row["state"], row["change"]["why"]) == ("open", "blocked", "by the operator")
    before = row["counts"]["requests"]
    for _ in range(6):
        assert proxy.ask() == 200
    assert proxy.backend("web1")["counts"]["requests"] == before
    row = proxy.change("PUT", "/api/backends/web1/breaker", {"state": "closed"})
    assert (row["breaker"], row["state"]) == ("closed", "up")


def test_the_algorithm_is_switched_for_workers_that_start_later_too(proxy: Served) -> None:
    switched = proxy.change("PUT", "/api/policy/algorithm", {"algorithm": "least_connections"})
    assert switched["algorithm"] == "least_connections"
    proxy.change("PATCH", "/api/backends/web1", {"weight": 3})
    pids = {worker["pid"] for worker in proxy.get("/api/workers")}
    os.kill(min(pids), signal.SIGKILL)
    wait_until(lambda: [w["state"] for w in proxy.get("/api/workers") if w["pid"] not in pids] == ["serving"])
    assert proxy.backend("web1")["states"] == {"up": 2}
    assert proxy.backend("web1")["weight"] == 3
    assert proxy.ask() == 200
    proxy.change("PUT", "/api/policy/algorithm", {"algorithm": "round_robin", "options": {}})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("PATCH", "/api/backends/web9", {"weight": 1}, 404, "no backend 'web9': there are web1, web2"),
        ("PATCH", "/api/backends/web1", {"weight": -1}, 422, "weight is -1"),
        ("PATCH", "/api/backends/web1", {"wait": 1}, 422, "did you mean weight?"),
        ("PATCH", "/api/backends/web1", {}, 422, "weight and intent are missing"),
        ("PATCH", "/api/backends/web1", [], 422, "must be a JSON object"),
        ("PATCH", "/api/backends/web1", {"intent": "dran"}, 422, "did you mean drain?"),
        ("PUT", "/api/policy/algorithm", {"algorithm": "round_robbin"}, 422, "did you mean round_robin?"),
        (
            "PUT",
            "/api/policy/algorithm",
            {"algorithm": "maglev", "options": {"x": 1}},
            422,
            "unknown option x",
        ),
        ("POST", "/api/cache/purge", {}, 409, "has no cache: give it [cache]"),
        ("POST", "/api/config/check", {}, 415, "use application/toml"),
        ("PATCH", "/api/backends", {}, 405, "use GET, HEAD"),
        ("DELETE", "/", None, 405, "use GET"),
        ("GET", "/api/nothing", None, 404, "/openapi.json"),
    ],
)
def test_what_an_operator_gets_wrong_is_explained(
    proxy: Served, method: str, path: str, body: object, status: int, why: str
) -> None:
    got, data = proxy.call(method, path, body)
    assert got == status
    assert why in data["error"]


def test_json_that_is_none_is_named_with_its_place(proxy: Served) -> None:
    got, data = proxy.call(
        "PATCH", "/api/backends/web1", '{"weight": }', headers={"Content-Type": "application/json"}
    )
    assert (got, data["error"]) == (400, "line 1, column 12: not JSON: Expecting value")


def test_secrets_are_not_shown(proxy: Served) -> None:
    assert proxy.get("/api/policy")["file"]["sticky"]["secret"] == "(hidden)"
    for path in ("/api/status", "/api/policy", "/api/stats"):
        assert "very-secret" not in str(proxy.get(path))
    assert TOKEN not in "\n".join(proxy.said)


# -- who may -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, "wrong", TOKEN + "x", TOKEN[:-1], ""])
def test_a_change_without_the_token_is_refused(proxy: Served, given: str | None) -> None:
    status, data = proxy.call("PATCH", "/api/backends/web1", {"weight": 5}, token=given)
    assert status == 401
    assert "needs the token" in data["error"]
    assert proxy.backend("web1")["weight"] != 5


def test_a_page_that_rebinds_its_name_to_this_machine_sees_nothing(proxy: Served) -> None:
    for host in ("evil.test", f"evil.test:{proxy.admin}", "127.0.0.1.evil.test", "localhost.evil.test"):
        status, data = proxy.call("GET", "/api/status", headers={"Host": host})
        assert (status, "stats" in data) == (421, False)
    for host in ("localhost", "127.0.0.1:1", "[::1]:80"):
        assert proxy.call("GET", "/api/status", headers={"Host": host})[0] == 200


def test_a_change_from_another_origin_is_refused_even_with_the_token(proxy: Served) -> None:
    for origin in ("http://evil.test", "null", "https://127.0.0.1"):
        status, _ = proxy.call("PATCH", "/api/backends/web1", {"weight": 5}, headers={"Origin": origin})
        assert status == 403
    own = {"Origin": f"http://127.0.0.1:{proxy.admin}"}
    assert proxy.call("PATCH", "/api/backends/web1", {"weight": 1}, headers=own)[0] == 200


def test_a_body_that_is_too_long_is_refused(proxy: Served) -> None:
    assert proxy.call("POST", "/api/config/check", headers={"Content-Length": "99999999"})[0] == 413


BODY = b'{"weight": 1}'
HEAD = (
    b"PATCH /api/backends/web1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer %b\r\n"
)


def raw(proxy: Served, *pieces: bytes) -> list[int]:
    """Return the statuses of what comes back for these pieces, sent one after another."""
    with socket.create_connection((proxy.host, proxy.admin), 20) as sock:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.02)
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", data)]


def test_a_body_may_arrive_in_any_pieces(proxy: Served) -> None:
    close = b"Connection: close\r\n"
    head = HEAD % TOKEN.encode() + close
    whole = head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    assert raw(proxy, whole) == [200]
    for cut in (10, len(whole) - len(BODY), len(whole) - 3):
        assert raw(proxy, whole[:cut], whole[cut:]) == [200]
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n8\r\n%b\r\n0\r\n\r\n" % (
        BODY[:5],
        BODY[5:],
    )
    assert raw(proxy, chunked) == [200]
    wrong = (HEAD % b"wrong" + close) + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    assert raw(proxy, wrong) == [401]
    assert raw(proxy, b"GET /api/pools HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2 + wrong) == [200, 200, 401]


# -- configuration -----------------------------------------------------------------------------


def test_a_posted_configuration_is_checked(proxy: Served) -> None:
    good = backends(9)
    assert proxy.change("POST", "/api/config/check", good) == {"valid": True, "faults": []}
    bad = 'workers = 0\n[policy]\nalgorithm = "round_robbin"' + good.replace("127", "x y")
    checked = proxy.change("POST", "/api/config/check", bad)
    assert not checked["valid"]
    assert [fault["field"] for fault in checked["faults"]] == [
        "backends[0].address",
        "workers",
        "policy",
    ]
    assert all(re.search("use|did you mean", fault["message"]) for fault in checked["faults"])
    broken = proxy.change("POST", "/api/config/check", "workers = = 2")
    assert "line 1, column 11: not TOML" in broken["faults"][0]["message"]


def test_a_reload_that_fails_changes_nothing_and_says_why(there: tuple[int, int], tmp_path: Path) -> None:
    one, two = there
    with Served(tmp_path, backends(one)) as proxy:
        assert proxy.ask() == 200
        pids = [worker["pid"] for worker in proxy.get("/api/workers")]
        proxy.configure("workers = -1" + backends(one))
        status, data = proxy.call("POST", "/api/reload")
        assert (status, data["error"]) == (422, "not reloaded, the old configuration stays")
        assert data["faults"] == [
            {"field": "workers", "message": "workers is -1: use a whole number of at least 1 and at most 512"}
        ]
        assert [worker["pid"] for worker in proxy.get("/api/workers")] == pids
        assert proxy.get("/api/status")["reloads"]["failed"]["faults"] == data["faults"]
        assert proxy.ask() == 200
        proxy.change("PATCH", "/api/backends/web1", {"weight": 7})
        proxy.configure(backends(one, two))
        assert proxy.change("POST", "/api/reload") == {"reloaded": True, "backends": 2}
        status = proxy.get("/api/status")
        assert status["reloads"]["failed"] is None
        assert [row["weight"] for row in status["backends"]] == [1, 1]  # the file's word
        # What the old worker counted stays in the sums.
        wait_until(lambda: len(proxy.get("/api/workers")) == 1)
        assert proxy.get("/api/stats")["totals"]["requests"] == 2


def test_errors_are_counted_by_their_kind(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with Scripted(answers(BROKEN)) as broken:
            text = "[policy]\nretries = 0" + backends(broken.port, nobody.getsockname()[1])
            with Served(tmp_path, text) as proxy:
                assert sorted(proxy.ask() for _ in range(4)) == [500, 500, 502, 502]
                one, two = (proxy.backend(name)["counts"] for name in ("web1", "web2"))
                assert (one["errors_by_kind"], one["failed_attempts"]) == ({"status 500": 2}, {})
                assert (two["errors_by_kind"], two["failed_attempts"]) == ({"status 502": 2}, {"refused": 2})
                assert one["latency"]["p50"] is None  # a server that fails fast is not a fast one


def test_after_a_reload_requests_of_old_workers_count_too(tmp_path: Path) -> None:
    """A drain is over when no process has requests at the backend."""
    from threading import Event, Thread

    from scripted import Connection

    asked, go = Event(), Event()

    def slow(connection: Connection) -> None:
        while connection.head():
            asked.set()
            go.wait(20)
            connection.send(OK)

    with Scripted(slow) as backend, Served(tmp_path, backends(backend.port)) as proxy:
        client = Thread(target=proxy.ask)
        client.start()
        assert asked.wait(20)
        proxy.change("POST", "/api/reload")
        assert sorted(w["state"] for w in proxy.get("/api/workers")) == ["retiring", "serving"]
        row = proxy.change("PATCH", "/api/backends/web1", {"intent": "drain"})
        assert (row["in_flight"], row["drain"]) == (1, "draining")
        go.set()
        client.join()
        wait_until(lambda: proxy.backend("web1")["drain"] == "drained")


def test_the_cache_counts_and_is_purged_in_every_worker(tmp_path: Path) -> None:
    kept = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok"
    with Scripted(answers(kept)) as backend:
        text = "workers = 2\n[cache]" + backends(backend.port)
        with Served(tmp_path, text) as proxy:
            for _ in range(20):
                assert proxy.ask("/a") == proxy.ask("/b") == 200
            stats = proxy.get("/api/stats")
            missed = stats["filters"]["cache"]["miss"]
            assert stats["filters"]["cache"]["hit"] == 40 - missed == stats["without_backend"]["requests"]
            assert stats["totals"]["requests"] == 40
            url = f"http://127.0.0.1:{proxy.port}/a"
            one = proxy.change("POST", "/api/cache/purge", {"url": url})["removed"]
            assert 1 <= one <= 2
            assert proxy.change("POST", "/api/cache/purge", {})["removed"] == missed - one
            assert proxy.call("POST", "/api/cache/purge", {"url": "/a"})[0] == 409


def test_workers_with_a_disk_share_what_is_stored_and_a_purge_reaches_the_memory_of_all(
    tmp_path: Path,
) -> None:
    kept = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok"
    with Scripted(answers(kept)) as backend:
        disk = f'[cache.disk]\nfolder = "{tmp_path / "cache"}"'
        with Served(tmp_path, f"workers = 2\n{disk}{backends(backend.port)}") as proxy:
            url = f"http://127.0.0.1:{proxy.port}/a"
            for purges in (1, 2):
                for _ in range(20):
                    assert proxy.ask("/a") == 200
                assert proxy.get("/api/stats")["filters"]["cache"]["miss"] == purges
                assert proxy.change("POST", "/api/cache/purge", {"url": url})["removed"] == 1


def test_a_proxy_at_layer_4_has_the_same_interface(tmp_path: Path) -> None:
    with (
        Scripted(answers(OK)) as one,
        Scripted(answers(OK)) as two,
        Served(tmp_path, 'mode = "tcp"' + backends(one.port, two.port)) as proxy,
    ):
        assert [proxy.ask() for _ in range(4)] == [200] * 4
        wait_until(lambda: proxy.get("/api/stats")["totals"]["requests"] == 4)
        assert proxy.change("PATCH", "/api/backends/web1", {"intent": "drain"})["drain"] == "drained"
        switched = proxy.change("PUT", "/api/policy/algorithm", {"algorithm": "maglev"})
        assert switched["algorithm"] == "maglev"
        assert [proxy.ask() for _ in range(4)] == [200] * 4
        assert proxy.backend("web1")["counts"]["attempts"] == 2
        assert proxy.call("POST", "/api/cache/purge", {})[0] == 409


def test_a_worker_that_hangs_does_not_keep_the_others_figures_back(tmp_path: Path) -> None:
    with Scripted(answers(OK)) as backend, Served(tmp_path, "workers = 2" + backends(backend.port)) as proxy:
        pid = proxy.get("/api/workers")[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            workers = {worker["pid"]: worker["state"] for worker in proxy.get("/api/workers")}
            assert sorted(workers.values()) == ["busy", "serving"]
            assert workers[pid] == "busy"
            assert proxy.backend("web1")["states"] == {"up": 1}
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: proxy.backend("web1")["states"] == {"up": 2})


def test_an_order_during_a_reload_reaches_the_workers_that_are_starting(tmp_path: Path) -> None:
    with Scripted(answers(OK)) as backend, Served(tmp_path, "workers = 2" + backends(backend.port)) as proxy:
        reload = threading.Thread(target=proxy.call, args=("POST", "/api/reload"))
        reload.start()
        while reload.is_alive():
            for intent in ("ready", "drain"):
                proxy.change("PATCH", "/api/backends/web1", {"intent": intent})
        reload.join()
        proxy.wait_for("reloaded")
        wait_until(lambda: len(proxy.get("/api/workers")) == 2)
        row = proxy.backend("web1")
        assert (row["intent"], row["states"]) == ("drain", {"drained": 2})


def test_a_proxy_for_udp_has_it_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        text = 'mode = "udp"\n[udp]\nanswers = 1' + backends(server.getsockname()[1])
        with Served(tmp_path, text) as proxy, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"ask", (proxy.host, proxy.port))
            data, sender = server.recvfrom(100)
            assert proxy.backend("web1")["in_flight"] == 1
            server.sendto(data, sender)
            wait_until(lambda: proxy.backend("web1")["counts"]["requests"] == 1)
            assert proxy.get("/api/status")["stats"]["in_flight"] == 0
