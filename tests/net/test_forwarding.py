"""What the backend gets, and what the client gets back."""

import http.client
import socket
import threading
import time

import pytest
from scripted import (
    GET,
    TIMEOUT,
    Client,
    Connection,
    Scripted,
    answers,
    ask,
    echo,
    field,
    pool_of,
    proxied,
    unchunked,
)

from lbkit import Backend, Balancer, algorithms, make_balancer
from lbkit.net import Proxy, ProxyError, Timeouts


def seen(proxy: Proxy, request: bytes) -> bytes:
    """`request` as the backend saw it."""
    status, _, body = ask(proxy, request)
    assert status == 200, body
    return body


def test_a_request_and_its_answer() -> None:
    with proxied(echo) as proxy:
        status, head, body = ask(proxy, b"GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Own: 1\r\n\r\n")
    assert status == 200
    assert body.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert field(body, "Host") == ["shop.example"]
    assert field(body, "X-Own") == ["1"]
    assert field(body, "Via") == ["1.1 lbkit"]
    assert field(head, "Date")  # the backend sent none (RFC 9110, 6.6.1)


def test_hop_by_hop_fields_are_not_forwarded() -> None:
    request = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine, close\r\nKeep-Alive: timeout=5\r\n"
        b"X-Mine: secret\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: x\r\nProxy-Authorization: y\r\nAccept: */*\r\n\r\n"
    )
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Server: s\r\nContent-Length: 0\r\n\r\n"
    )
    with proxied(echo) as proxy:
        names = {line.split(b":")[0].lower() for line in seen(proxy, request).split(b"\r\n")[1:]}
    assert names - {b""} == {
        *(b"host", b"accept", b"via", b"forwarded"),
        *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
    }
    with proxied(answers(answer)) as proxy:
        _, head, _ = ask(proxy)
    assert field(head, "Server") == ["s"]
    assert not field(head, "X-Theirs")
    assert not field(head, "Keep-Alive")


def test_forwarding_fields_from_untrusted_peers_are_dropped() -> None:
    request = (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\nVia: 1.0 before\r\n\r\n"
    )
    with proxied(echo) as proxy:
        body = seen(proxy, request)
    assert field(body, "X-Forwarded-For") == ["127.0.0.1"]
    assert field(body, "X-Forwarded-Proto") == ["http"]
    assert field(body, "X-Forwarded-Host") == ["a"]
    assert field(body, "Forwarded") == ['for=127.0.0.1;host="a";proto=http']
    assert field(body, "Via") == ["1.0 before, 1.1 lbkit"]
    with proxied(echo, trusted=("127.0.0.1",)) as proxy:
        body = seen(proxy, request)
    assert field(body, "X-Forwarded-For") == ["1.2.3.4, 127.0.0.1"]
    assert field(body, "X-Forwarded-Proto") == ["https"]
    assert field(body, "X-Forwarded-Host") == ["evil"]
    assert field(body, "Forwarded") == ['for=1.2.3.4, for=127.0.0.1;host="a";proto=http']


def test_the_key_is_the_nearest_untrusted_address() -> None:
    keys = []

    class KeySpy(Balancer):
        def pick(self, backends, key, now):
            keys.append(key)
            return backends[0]

    request = (
        b"GET /p?q=7 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 9.9.9.9, 10.0.0.1\r\n"
        b"X-User: ann \r\nCookie: a=b; sid=42\r\n\r\n"
    )
    for options, expected in (
        ({}, "127.0.0.1"),
        ({"trusted": ("127.0.0.0/8", "10.0.0.0/8")}, "9.9.9.9"),
        ({"trusted": ("127.0.0.0/8",)}, "10.0.0.1"),
        ({"keyed_by": "path"}, "/p"),
        ({"keyed_by": "uri"}, "/p?q=7"),
        ({"keyed_by": "query:q"}, "7"),
        ({"keyed_by": "header:x-user"}, "ann"),
        ({"keyed_by": "cookie:sid"}, "42"),
        ({"keyed_by": "cookie:other"}, "127.0.0.1"),
    ):
        with proxied(echo, **options) as proxy:
            proxy.call(proxy.pool.switch, KeySpy())
            ask(proxy, request)
        assert keys.pop() == expected


def test_the_flow_key_is_the_connection() -> None:
    keys = []

    class FlowSpy(Balancer):
        def pick(self, backends, key, now):
            keys.append(key)
            return backends[0]

    with proxied(echo, keyed_by="flow") as proxy:
        proxy.call(proxy.pool.switch, FlowSpy())
        for _ in range(2):
            with Client(proxy) as connection:
                for _ in range(2):
                    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    connection.answer()
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert "127.0.0.1" in keys[0]


def test_the_reason_of_a_pick_is_shown_only_when_it_is_exposed() -> None:
    with proxied(echo, echo, explain=True) as proxy:
        head = ask(proxy, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")[1]
        (why,) = field(head, "X-Lbkit-Why")
        assert why.endswith("the next turn; slot 0 of 2")


def test_a_key_cannot_inject_a_header_field() -> None:
    """Keys come from outside, and an explanation names them."""
    with proxied(echo, explain=True, keyed_by="query:q") as proxy:
        proxy.call(proxy.pool.switch, make_balancer("consistent_hash"))
        head = ask(proxy, b"GET /?q=a%0d%0aSet-Cookie:%20x HTTP/1.1\r\nHost: a\r\n\r\n")[1]
        (why,) = field(head, "X-Lbkit-Why")
        assert "Set-Cookie" in why
        assert not field(head, "Set-Cookie")


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (
            b"TEXT cpu_utilization=0.5,rps_fractional=12.5,named_metrics.in_flight=4",
            (4, 0.5, 12.5, 0.0, 0.0, 0.0),
        ),
        (b"TEXT cpu_utilization=0.5, eps=2, unknown=7", (0, 0.5, 0.0, 0.0, 2.0, 0.0)),
        (b"TEXT cpu_utilization=-1", None),
        (b"TEXT cpu_utilization=nan", None),
        (b"JSON {}", None),
    ],
)
def test_load_reports_in_answers(said: bytes, heard: tuple[float, ...] | None) -> None:
    reports = []

    class Listener(Balancer):
        wants_reports = True

        def pick(self, backends, key, now):
            return backends[0]

        def on_report(self, backend, load, now, probed=False):
            reports.append((backend.name, load))

    answer = b"HTTP/1.1 200 OK\r\nEndpoint-Load-Metrics: %b\r\nContent-Length: 0\r\n\r\n" % said
    with proxied(answers(answer)) as proxy:
        proxy.call(proxy.pool.switch, Listener())
        ask(proxy)
        (backend,) = proxy.pool.backends
        assert reports == ([(backend.name, heard)] if heard else [])
        assert backend.traffic > len(answer)  # and the request


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_bodies_pass_both_ways(size: int) -> None:
    body = bytes(i % 251 for i in range(size))
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    with proxied(echo) as proxy:
        assert seen(proxy, request).endswith(b"\r\n\r\n" + body)


def test_chunks_pass_both_ways_and_trailers_are_dropped() -> None:
    request = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    with proxied(echo) as proxy:
        body = seen(proxy, request)
        assert unchunked(body.partition(b"\r\n\r\n")[2]) == b"hello world"
        assert field(body, "Transfer-Encoding") == ["chunked"]
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n"
    with proxied(answers(chunked)) as proxy:
        status, _, body = ask(proxy)
        assert (status, body) == (200, b"3\r\nabc\r\n0\r\n\r\n")


def test_a_body_until_close_gets_chunks_and_http10_its_close() -> None:
    def until_close(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
        connection.send(b"thing")

    with proxied(until_close) as proxy:
        _, head, body = ask(proxy)
        assert field(head, "Transfer-Encoding") == ["chunked"]
        assert unchunked(body) == b"something"
        with Client(proxy) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            answer = client.rest()
    assert answer.endswith(b"\r\n\r\nsomething")
    assert b"Transfer-Encoding" not in answer


def test_keep_alive_on_both_sides() -> None:
    with proxied(echo) as proxy, Client(proxy) as client:
        for i in range(20):
            client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i)
            status, head, body = client.answer()
            assert status == 200
            assert body.startswith(b"GET /%d " % i)
            assert not field(head, "Connection")
        assert proxy.scripted[0].connections == 1


@pytest.mark.parametrize(
    "request_",
    [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"],
    ids=["1.0", "1.1"],
)
def test_a_connection_is_closed_on_request(request_: bytes) -> None:
    with proxied(echo) as proxy, Client(proxy) as client:
        client.send(request_)
        answer = client.rest()
        assert field(answer.partition(b"\r\n\r\n")[0] + b"\r\n", "Connection") == ["close"]
        assert ask(proxy)[0] == 200  # one client's close does not affect others


def test_http10_keep_alive() -> None:
    with proxied(echo) as proxy, Client(proxy) as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, head, _ = client.answer()
            assert status == 200
            assert field(head, "Connection") == ["keep-alive"]


def test_pipelined_requests_are_answered_in_order() -> None:
    with proxied(echo, echo, echo) as proxy, Client(proxy) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(500)))
        for i in range(500):
            assert client.answer()[2].startswith(b"GET /%d " % i)


def test_a_request_pipelined_after_a_body() -> None:
    post = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    with proxied(echo) as proxy, Client(proxy) as client:
        client.send(post + GET + post)
        assert [client.answer()[2].split(b" ")[0] for _ in range(3)] == [b"POST", b"GET", b"POST"]


def test_a_request_in_single_bytes() -> None:
    with proxied(echo) as proxy, Client(proxy) as client:
        for byte in b"\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd":
            client.send(bytes([byte]))
        assert client.answer()[2].endswith(b"abcd")


def test_an_answer_in_single_bytes() -> None:
    def slowly(connection: Connection) -> None:
        while connection.head():
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd":
                connection.send(bytes([byte]))

    with proxied(slowly) as proxy:
        for _ in range(3):
            assert ask(proxy)[2] == b"abcd"


def test_head_and_bodyless_statuses() -> None:
    for request, answer in (
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\nETag: x\r\n\r\n"),
    ):
        with proxied(answers(answer)) as proxy, Client(proxy) as client:
            for _ in range(3):  # the connections stay usable
                client.send(request)
                _, head, _ = client.answer(head_only=True)
                assert head.split(b" ")[1] == answer.split(b" ")[1]
                assert (b"Content-Length: 999" in head) == (b"999" in answer)
            assert client.buffer == b""
            assert proxy.scripted[0].connections == 1


def test_expect_100_continue() -> None:
    def careful(connection: Connection) -> None:
        head = connection.head()
        assert b"Expect: 100-continue" in head
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = connection.body(head)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with proxied(careful) as proxy, Client(proxy) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert client.answer()[0] == 100
        client.send(b"abc")
        assert client.answer()[::2] == (200, b"abc")


def test_interim_answers_are_forwarded_and_early_hints_do_not_end_an_exchange() -> None:
    hints = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    with proxied(answers(hints)) as proxy, Client(proxy) as client:
        for _ in range(2):
            client.send(GET)
            status, head, _ = client.answer()
            assert status == 103
            assert field(head, "Link") == ["</a.css>"]
            assert client.answer()[::2] == (200, b"ok")
        client.send(b"GET / HTTP/1.0\r\n\r\n")  # knows no interim answers
        assert client.answer()[0] == 200


def test_absolute_form_and_asterisk() -> None:
    with proxied(echo) as proxy:
        body = seen(proxy, b"GET http://shop.example:81/x?y HTTP/1.1\r\nHost: ignored\r\n\r\n")
        assert body.startswith(b"GET /x?y HTTP/1.1\r\n")
        assert field(body, "Host") == ["shop.example:81"]
        assert seen(proxy, b"GET http://a HTTP/1.1\r\nHost: b\r\n\r\n").startswith(b"GET / ")
        assert seen(proxy, b"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n").startswith(b"OPTIONS * ")


def test_websocket_tunnel() -> None:
    def shout(connection: Connection) -> None:
        head = connection.head()
        assert b"Upgrade: websocket" in head
        connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi"
        )
        while data := connection.buffer or connection.sock.recv(1000):
            connection.buffer = b""
            connection.send(data.upper())

    request = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with proxied(shout) as proxy, Client(proxy) as client:
        client.send(request + b"early")
        status, head, _ = client.answer()
        assert status == 101
        assert field(head, "Upgrade") == ["websocket"]
        connection = Connection(client.sock)
        connection.buffer = client.buffer
        assert connection.exactly(7) == b"hiEARLY"
        assert proxy.pool["b1"].in_flight == 1  # a long connection is load
        client.send(b"more")
        assert connection.exactly(4) == b"MORE"


def test_a_declined_upgrade_is_a_plain_answer() -> None:
    request = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with proxied(echo) as proxy, Client(proxy) as client:
        client.send(request + GET)
        assert client.answer()[0] == 200
        assert client.answer()[2].startswith(b"GET / ")


def test_a_gibibyte_each_way_in_constant_memory() -> None:
    # The proxy runs in this process: what it holds shows in our own peak memory.
    resource = pytest.importorskip("resource", reason="platform: no resource usage on Windows")
    size, piece = 1 << 30, bytes(1 << 16)

    def swallow_and_send(connection: Connection) -> None:
        connection.head()
        left = size - len(connection.buffer)
        view = memoryview(bytearray(1 << 18))
        while left:
            left -= connection.sock.recv_into(view[: min(left, len(view))])
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            connection.send(piece)

    with proxied(swallow_and_send) as proxy, Client(proxy) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            client.send(piece)
        view = memoryview(bytearray(1 << 18))
        got = 0
        while got < size:
            received = client.sock.recv_into(view)
            assert received
            got += received
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 32 * 1024  # KiB


def test_a_client_that_does_not_read_slows_the_backend_down() -> None:
    sent = 0
    full = threading.Event()

    def endless(connection: Connection) -> None:
        nonlocal sent
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        connection.sock.settimeout(1.0)
        try:
            while True:
                sent += connection.sock.send(bytes(1 << 16))
        except TimeoutError:
            full.set()

    with proxied(endless) as proxy, Client(proxy) as client:
        client.send(GET)
        assert full.wait(TIMEOUT)
    assert sent < 64 << 20  # what fits into sockets' buffers, not the terabyte


def test_every_algorithm_works_in_the_proxy() -> None:
    for name, cls in algorithms().items():
        if not cls.__module__.startswith("lbkit."):
            continue
        with proxied(echo, echo, echo) as proxy:
            proxy.call(proxy.pool.switch, make_balancer(name))
            with Client(proxy) as client:
                for i in range(12):
                    client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i)
                    assert client.answer()[0] == 200
            assert sum(b.picks for b in proxy.pool.backends) == 12
            if name == "round_robin":
                assert [b.picks for b in proxy.pool.backends] == [4, 4, 4]


def test_a_third_party_client() -> None:
    with proxied(echo) as proxy:
        connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=TIMEOUT)
        connection.request("POST", "/x", body=iter([b"ab", b"cd"]), headers={"X-A": "b"})
        assert unchunked(connection.getresponse().read().partition(b"\r\n\r\n")[2]) == b"abcd"
        connection.request("HEAD", "/x")
        assert connection.getresponse().read() == b""
        connection.request("GET", "/y")
        assert connection.getresponse().read().startswith(b"GET /y")
        connection.close()


# -- starting and stopping ------------------------------------------------------------------------


def test_an_error_says_that_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProxyError, match=f"127.0.0.1:{port}: the port is taken"):
            Proxy(pool_of(1), listen=f"127.0.0.1:{port}").start()


def test_stop_lets_running_requests_finish_and_takes_no_new_ones() -> None:
    arrived, go = threading.Event(), threading.Event()

    def waits(connection: Connection) -> None:
        connection.head()
        arrived.set()
        go.wait(TIMEOUT)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Scripted(waits) as backend:
        proxy = Proxy(pool_of(backend.port)).start()
        with Client(proxy) as busy, Client(proxy) as idle:
            busy.send(GET)
            assert arrived.wait(TIMEOUT)
            stopping = threading.Thread(target=proxy.stop)
            stopping.start()
            assert idle.closed()
            with pytest.raises(ConnectionError):
                Client(proxy)
            go.set()
            status, _, body = busy.answer()
            assert (status, body) == (200, b"ok")
            assert busy.closed()
        stopping.join(TIMEOUT)
        assert not stopping.is_alive()
        proxy.stop()  # harmless


def test_stop_cuts_off_requests_that_outlast_the_grace() -> None:
    def never(connection: Connection) -> None:
        connection.head()
        connection.head()

    with Scripted(never) as backend:
        pool = pool_of(backend.port)
        proxy = Proxy(pool).start()
        with Client(proxy) as client:
            client.send(GET)
            wait_for(lambda: pool["b1"].in_flight == 1)
            proxy.stop(grace=0.1)
            assert client.closed()
        assert pool["b1"].in_flight == 0


def wait_for(condition) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="key is 'colour'"):
        Proxy(pool_of(1), keyed_by="colour")
    with pytest.raises(ValueError, match="trusted: 'nonsense'"):
        Proxy(pool_of(1), trusted=("nonsense",))
    with pytest.raises(ValueError, match="read is 0"):
        Timeouts(read=0)


def test_a_broken_algorithm_is_a_500_and_the_proxy_keeps_serving(capsys: pytest.CaptureFixture[str]) -> None:
    class Careless(Balancer):
        def pick(self, backends, key, now):
            return backends[7]

    with proxied(echo) as proxy, Client(proxy) as client:
        good = proxy.pool.balancer
        proxy.call(proxy.pool.switch, Careless())
        client.send(GET)
        assert client.answer()[0] == 500
        proxy.call(proxy.pool.switch, good)
        client.send(GET)
        assert client.answer()[0] == 200
    assert "Careless.pick raised IndexError: tuple index out of range" in capsys.readouterr().err


def test_backends_are_added_and_removed_at_run_time() -> None:
    with proxied(echo) as proxy, Scripted(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")) as new:
        proxy.call(proxy.pool.add, Backend("new", host="127.0.0.1", port=new.port))
        proxy.call(proxy.pool.remove, "b1")
        assert ask(proxy)[2] == b"new"
        proxy.call(proxy.pool.remove, "new")
        assert ask(proxy)[0] == 503


def test_internal_fields_reach_a_client_only_if_they_are_exposed() -> None:
    internal = {
        "Endpoint-Load-Metrics": "TEXT cpu_utilization=0.5",
        "X-Lbkit-Start": "1.000000",
        "x-lbkit-service": "0.020000",
    }
    fields = "".join(f"{name}: {value}\r\n" for name, value in internal.items()).encode()
    answer = b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\nX-Public: yes\r\n\r\nok"
    for expose in (False, True):
        with proxied(answers(answer), expose=expose) as proxy:
            status, head, body = ask(proxy, GET)
        assert (status, body, field(head, "X-Public")) == (200, b"ok", ["yes"])
        for name, value in internal.items():
            assert field(head, name) == ([value] if expose else [])


def test_every_503_carries_retry_after() -> None:
    with proxied(echo) as proxy:
        proxy.call(proxy.pool.remove, "b1")
        status, head, _ = ask(proxy)
        assert (status, field(head, "Retry-After")) == (503, ["1"])


def test_hidden_fields_do_not_reach_the_client() -> None:
    secret = (
        b"HTTP/1.1 %d X\r\nServer: secret/1.0\r\nX-Powered-By: secret\r\nX-Public: yes\r\n"
        b"Content-Length: 6\r\n\r\nsecret"
    )
    with proxied(answers(secret % 200), hide=("Server", "x-powered-by"), hide_errors=True) as proxy:
        status, head, body = ask(proxy, GET)
        assert (status, body) == (200, b"secret")
        assert field(head, "X-Public") == ["yes"]
        assert b"ecret" not in head
    for said, told in ((500, 500), (503, 503), (599, 599)):
        with proxied(answers(secret % said), hide_errors=True) as proxy:
            for _ in range(2):
                status, head, body = ask(proxy, GET)
                assert status == told
                assert b"secret" not in head + body
                assert field(head, "X-Public") == []
            assert proxy.pool.backends[0].in_flight == 0
    with proxied(answers(secret % 500)) as proxy:
        assert ask(proxy, GET)[2] == b"secret"  # unless asked to, it passes what it gets
