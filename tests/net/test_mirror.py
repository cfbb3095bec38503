"""Mirrors: copies go to the shadow pool, answers are compared, and clients notice nothing."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scripted import Client, Connection, Script, Scripted, answers, ask, echo, field, unchunked

from lbkit.core.routing import Mirror, MirrorReport, Rewrite, Routing, Rule, When
from lbkit.net import Proxy
from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def request(target: str = "/", body: bytes = b"", more: str = "") -> bytes:
    method, length = ("POST", f"Content-Length: {len(body)}\r\n") if body else ("GET", "")
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{more}{length}\r\n".encode() + body


@contextmanager
def mirrored(
    primary: Script, shadow: Script, more: dict[str, Any] | None = None, **mirror: Any
) -> Iterator[Proxy]:
    """A proxy whose rule `all` copies what the backend `primary` gets to `shadow`."""
    with Scripted(primary) as first, Scripted(shadow) as second:
        config = ProxyConfig(
            (
                BackendConfig(f"127.0.0.1:{first.port}", "b1"),
                BackendConfig(f"127.0.0.1:{second.port}", "b2", pool="shadow"),
            ),
            listen="127.0.0.1:0",
            routing=Routing((Rule("all", mirror=Mirror("shadow", **mirror)),)),
            **(more or {}),
        )
        with Proxy(config=config) as proxy:
            yield proxy
        assert all(counts.under_way == 0 for counts in proxy.filters["mirrored"].counts.values())  # type: ignore[attr-defined]
        assert all(b.in_flight == 0 for b in proxy.pool.backends)


def report(proxy: Proxy, until: Callable[[MirrorReport], bool]) -> MirrorReport:
    """Return the report as soon as it is as expected."""
    end = time.monotonic() + 20
    while not until(found := proxy.call(proxy.mirror_report)["all"]):
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def recording(seen: queue.Queue[tuple[bytes, bytes]], answer: bytes = HELLO) -> Script:
    def script(connection: Connection) -> None:
        while head := connection.head():
            seen.put((head, connection.body(head)))
            connection.send(answer)

    return script


def silent(connection: Connection) -> None:
    while connection.sock.recv(65536):
        pass


def test_equal_answers_count_as_the_same() -> None:
    with mirrored(answers(HELLO), answers(HELLO)) as proxy:
        for _ in range(5):
            assert ask(proxy, request())[2] == b"hello"
        found = report(proxy, lambda r: r.same == 5)
    assert (found.copies, found.differ, found.failed, found.skipped) == (5, {}, 0, {})
    assert "all to shadow: 5 copies, 5 the same; " in str(found)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", "status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", "length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhullo", "body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", ""),
    ],
)
def test_a_difference_is_found_and_shown_and_the_client_gets_its_own_answer(answer: bytes, what: str) -> None:
    with mirrored(answers(HELLO), answers(answer)) as proxy:
        assert ask(proxy, request("/cart?x=1"))[::2] == (200, b"hello")
        found = report(proxy, lambda r: r.same + sum(r.differ.values()) == 1)
    assert found.differ == ({what: 1} if what else {})
    assert [example.request for example in found.examples] == (["GET /cart?x=1"] if what else [])


def test_bodies_need_not_be_compared() -> None:
    with mirrored(answers(HELLO), answers(HELLO.replace(b"hello", b"hullo")), compare_body=False) as proxy:
        ask(proxy, request())
        assert report(proxy, lambda r: r.same == 1).differ == {}


def test_a_copy_is_what_the_backend_gets_and_is_marked() -> None:
    seen: queue.Queue[tuple[bytes, bytes]] = queue.Queue()
    with mirrored(answers(HELLO), recording(seen)) as proxy:
        ask(proxy, request("/a", b"abc", "X-Lbkit-Mirror: forged\r\n"))
        head, body = seen.get(timeout=20)
        assert head.startswith(b"POST /a HTTP/1.1\r\n")
        assert (field(head, "X-Lbkit-Mirror"), field(head, "Host"), body) == (["1"], ["a"], b"abc")
        chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        ask(proxy, b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        head, body = seen.get(timeout=20)
        assert unchunked(body) == b"abcde"


def test_a_rule_rewrites_the_copy_too() -> None:
    seen: queue.Queue[tuple[bytes, bytes]] = queue.Queue()
    with Scripted(answers(HELLO)) as first, Scripted(recording(seen)) as second:
        rule = Rule("api", when=When(prefix=("/api",)), rewrite=Rewrite("/v2{rest}"), mirror=Mirror("shadow"))
        config = ProxyConfig(
            (
                BackendConfig(f"127.0.0.1:{first.port}"),
                BackendConfig(f"127.0.0.1:{second.port}", pool="shadow"),
            ),
            listen="127.0.0.1:0",
            routing=Routing((rule,)),
        )
        with Proxy(config=config) as proxy:
            ask(proxy, request("/other"))
            ask(proxy, request("/api/x"))
            head, _ = seen.get(timeout=20)
        assert head.startswith(b"GET /v2/x HTTP/1.1\r\n")
        assert seen.empty()


def test_a_body_that_comes_late_or_in_pieces_is_copied_when_it_is_here() -> None:
    seen: queue.Queue[tuple[bytes, bytes]] = queue.Queue()
    with mirrored(echo, recording(seen)) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n")
        time.sleep(0.05)
        client.send(b"abc")
        time.sleep(0.05)
        assert seen.empty()
        client.send(b"def")
        head, body = seen.get(timeout=20)
        assert (body, field(head, "Expect")) == (b"abcdef", [])


def test_clients_do_not_wait_for_a_shadow_that_hangs_and_copies_are_limited() -> None:
    with mirrored(answers(HELLO), silent, at_once=2, timeout=30.0) as proxy, Client(proxy) as client:
        for _ in range(5):
            client.send(request())
            assert client.answer()[0] == 200
        found = report(proxy, lambda r: r.copies == 2)
        assert found.skipped == {"too many copies at once": 3}


def test_a_copy_ends_at_its_timeout_and_frees_its_place() -> None:
    with mirrored(answers(HELLO), silent, at_once=1, timeout=0.05) as proxy:
        ask(proxy, request())
        assert report(proxy, lambda r: r.failed == 1).copies == 1
        ask(proxy, request())
        assert report(proxy, lambda r: r.failed == 2).skipped == {}


def test_a_body_that_is_too_big_is_not_copied_but_counted() -> None:
    with mirrored(echo, echo, body=10) as proxy:
        assert ask(proxy, request("/", b"x" * 11))[0] == 200
        chunks = b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert ask(proxy, head + chunks)[0] == 200
        with Client(proxy) as client:
            client.send(head + chunks[:11])
            time.sleep(0.05)
            client.send(chunks[11:])
            assert client.answer()[0] == 200
        found = report(proxy, lambda r: r.skipped == {"body too big": 3})
        assert found.copies == 0
        assert ask(proxy, request("/", b"x" * 10))[0] == 200
        report(proxy, lambda r: r.copies == 1)


@pytest.mark.parametrize("shadow", [Connection.reset, answers(b"nonsense\r\n\r\n")])
def test_a_shadow_that_fails_fails_no_client(shadow: Script) -> None:
    with mirrored(answers(HELLO), shadow) as proxy:
        assert ask(proxy, request())[0] == 200
        assert report(proxy, lambda r: r.failed == 1).same == 0


def test_a_shadow_pool_without_a_backend_fails_no_client() -> None:
    from lbkit.core import Intent

    with mirrored(answers(HELLO), answers(HELLO)) as proxy:
        proxy.call(proxy.set_intent, "b2", Intent.OUT)
        assert ask(proxy, request())[0] == 200
        assert report(proxy, lambda r: r.failed == 1).copies == 1


def test_a_kept_connection_that_the_shadow_has_closed_is_no_failure() -> None:
    def once(connection: Connection) -> None:
        connection.head()
        connection.send(HELLO)
        time.sleep(0.05)

    with mirrored(answers(HELLO), once) as proxy:
        for i in range(1, 6):
            ask(proxy, request())
            report(proxy, lambda r, i=i: r.same == i)  # type: ignore[misc]
        assert report(proxy, lambda r: r.same == 5).failed == 0


def test_the_status_of_the_backend_is_compared_where_its_answer_is_hidden() -> None:
    broken = answers(b"HTTP/1.1 500 Broken\r\nContent-Length: 5\r\n\r\ntrace")
    with mirrored(broken, broken, {"hide_errors": True}) as proxy:
        assert ask(proxy, request())[0] == 500
        assert report(proxy, lambda r: r.same == 1).differ == {}


def test_compressed_answers_are_compared_as_the_backend_sent_them() -> None:
    from lbkit.compression import Compression

    text = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4000\r\n\r\n" + b"a" * 4000
    with mirrored(answers(text), answers(text), {"compression": Compression()}) as proxy:
        status, head, _ = ask(proxy, request("/", more="Accept-Encoding: gzip\r\n"))
        assert (status, field(head, "Content-Encoding")) == (200, ["gzip"])
        assert report(proxy, lambda r: r.same == 1).differ == {}


def test_a_share_of_the_requests_is_copied() -> None:
    with mirrored(answers(HELLO), answers(HELLO), share=0.25, at_once=1000) as proxy, Client(proxy) as client:
        for _ in range(400):
            client.send(request())
            client.answer()
        assert 50 < report(proxy, lambda r: r.same == r.copies).copies < 160


def test_a_client_that_leaves_is_not_compared_and_leaves_no_place_taken() -> None:
    with mirrored(silent, answers(HELLO), at_once=1) as proxy:
        with Client(proxy) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
            time.sleep(0.05)
        assert report(proxy, lambda r: r.skipped == {"not finished": 1}).copies == 0
        with Client(proxy) as client:
            client.send(request())
            report(proxy, lambda r: r.copies == 1)
        report(proxy, lambda r: r.skipped == {"not finished": 2})


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ({"pool": "shadow", "share": 2}, "mirror.share is 2.0"),
        ({"pool": "shadow", "at_once": 0}, "mirror.at_once is 0"),
        ({"pool": "shadow", "body": -1}, "mirror.body is -1"),
        ({"pool": "shadw"}, "no backend is in the pool 'shadw'"),
    ],
)
def test_wrong_mirrors_in_a_file(mirror: dict[str, Any], message: str) -> None:
    backends = [{"address": "a:1"}, {"address": "a:2", "pool": "shadow"}]
    with pytest.raises(ConfigError, match=message):
        ProxyConfig.from_dict({"backends": backends, "routing": {"rules": [{"name": "x", "mirror": mirror}]}})


def test_counts_of_rules_and_mirrors_are_figures_of_the_filters_and_explain_names_the_pool() -> None:
    with mirrored(answers(HELLO), answers(HELLO.replace(b"hello", b"hullo")), {"explain": True}) as proxy:
        _, head, _ = ask(proxy, request())
        assert (field(head, "X-Lbkit-Rule"), field(head, "X-Lbkit-Mirrored")) == (["all"], ["shadow"])
        report(proxy, lambda r: r.differ == {"body": 1})
        figures = proxy.call(lambda: {name: dict(made.figures()) for name, made in proxy.filters.items()})
    assert figures["routing"] == {"all": 1}
    assert figures["mirrored"] == {
        "all, copies": 1,
        "all, same": 0,
        "all, failed": 0,
        "all, differ in body": 1,
    }


def test_a_body_that_another_filter_has_waited_for_is_copied() -> None:
    from lbkit.firewall import FirewallRules

    seen: queue.Queue[tuple[bytes, bytes]] = queue.Queue()
    options = {"firewall": FirewallRules(mode="block")}
    with mirrored(answers(HELLO), recording(seen), options) as proxy, Client(proxy) as client:
        form = "Content-Type: application/x-www-form-urlencoded\r\n"
        data = request("/", b"name=value", form)
        client.send(data[:-4])
        time.sleep(0.05)
        client.send(data[-4:])
        assert client.answer()[0] == 200
        assert seen.get(timeout=20)[1] == b"name=value"
        assert ask(proxy, request("/?q=<script>alert(1)</script>".replace("<", "%3C")))[0] == 403
        assert report(proxy, lambda r: r.same == 1).copies == 1  # what is refused is not copied
