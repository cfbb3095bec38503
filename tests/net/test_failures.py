"""Backends that die before, within and after the head; clients that leave. No hang, no half for a whole."""

import threading

import pytest
from own_balancers import Told
from scripted import (
    GET,
    TIMEOUT,
    Client,
    Connection,
    Scripted,
    answers,
    ask,
    echo,
    nobody_listens,
    pool_of,
    proxied,
)

from lbkit.net import Proxy, Timeouts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def dies_after(data: bytes, *, reset: bool = False):
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(data)
        if reset:
            connection.reset()

    return script


def test_a_refused_connection_goes_to_another_backend() -> None:
    with nobody_listens() as port, Scripted(answers(OK)) as good:
        pool = pool_of(port, good.port)
        with Proxy(pool, expose=True) as proxy:
            for _ in range(6):
                status, head, _ = ask(proxy)
                assert status == 200
                assert b"X-Lbkit-Attempts: 2" in head  # the turn is always b1's: b2 got the last one
        assert pool["b1"].latency == 0  # a refusal, however quick, is no answer
        assert pool["b2"].picks == 6
        assert [b.in_flight for b in pool.backends] == [0, 0]


def test_a_body_already_received_is_sent_to_the_other_backend() -> None:
    with nobody_listens() as port, Scripted(echo) as good, Proxy(pool_of(port, good.port)) as proxy:
        for _ in range(4):
            status, _, body = ask(proxy, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            assert status == 200
            assert body.endswith(b"abc")


@pytest.mark.parametrize(("retries", "picks"), [(0, 1), (1, 2), (5, 3)])
def test_502_when_all_backends_refuse_connections(retries: int, picks: int) -> None:
    with nobody_listens() as one, nobody_listens() as two, nobody_listens() as three:
        pool = pool_of(one, two, three)
        with Proxy(pool, retries=retries) as proxy, Client(proxy) as client:
            client.send(GET)
            assert client.answer()[0] == 502
            assert sum(b.picks for b in pool.backends) == picks
            client.send(GET)  # the client's connection is as good as before
            assert client.answer()[0] == 502


def test_an_empty_pool_is_answered_503() -> None:
    with Proxy(pool_of()) as proxy, Client(proxy) as client:
        for _ in range(2):
            client.send(GET)
            assert client.answer()[0] == 503


def test_a_connection_that_is_not_accepted_times_out() -> None:
    # No real address is sure not to answer, so the function that connects is replaced.
    with proxied(echo, timeouts=Timeouts(connect=0.1), retries=0) as proxy:
        import asyncio

        async def never(*args, **kwargs):
            await asyncio.Event().wait()

        original = proxy.connections.connect

        async def connect(backend, peer):
            async with asyncio.timeout(proxy.connections.timeouts.connect):
                await never()
            return await original(backend, peer)

        proxy.connections.connect = connect  # type: ignore[method-assign]
        assert ask(proxy)[0] == 504


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nConte"], ids=["before", "within"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_backend_that_dies_before_its_head_is_complete_is_answered_502(sent: bytes, reset: bool) -> None:
    with proxied(dies_after(sent, reset=reset)) as proxy, Client(proxy) as client:
        for _ in range(2):
            client.send(GET)
            status, _, body = client.answer()
            assert (status, body) == (502, b"502 Bad Gateway\n")


HALVES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf",
    "nothing but the head": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("reset", [False, True])
def test_a_truncated_answer_never_looks_complete(half: str, reset: bool) -> None:
    with proxied(dies_after(HALVES[half], reset=reset)) as proxy, Client(proxy) as client:
        client.send(GET)
        with pytest.raises(ConnectionError):
            client.answer()


def test_a_reset_is_not_the_end_of_a_body_until_close() -> None:
    go = threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        go.wait(TIMEOUT)
        connection.reset()

    with proxied(script) as proxy, Client(proxy) as client:
        client.send(GET)
        connection = Connection(client.sock)
        assert b"half" in connection.until(b"half")
        go.set()
        with pytest.raises(ConnectionError):
            connection.until(b"0\r\n\r\n")


def test_a_silent_backend_is_answered_504_before_the_head_and_cut_off_after_it() -> None:
    def silent(connection: Connection) -> None:
        connection.head()
        connection.head()

    def stalls(connection: Connection) -> None:
        connection.head()
        connection.send(HALVES["length"])
        connection.head()

    with proxied(silent, timeouts=Timeouts(read=0.2)) as proxy, Client(proxy) as client:
        client.send(GET)
        assert client.answer()[0] == 504
        client.send(GET)  # and the connection is still good
        assert client.answer()[0] == 504
    with proxied(stalls, timeouts=Timeouts(read=0.2)) as proxy, Client(proxy) as client:
        client.send(GET)
        with pytest.raises(ConnectionError):
            client.answer()


def test_the_balancer_learns_of_a_failure() -> None:
    told = Told()
    with proxied(dies_after(b"")) as proxy:
        proxy.pool.switch(told)
        assert ask(proxy)[0] == 502
    with proxied(answers(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")) as proxy:
        proxy.pool.switch(told)
        assert ask(proxy)[0] == 500
    assert [ok for _, _, ok, _ in told.outcomes] == [False, False]


@pytest.mark.parametrize("when", ["before the answer", "within the answer"])
def test_a_client_that_disconnects_releases_the_backend(when: str) -> None:
    arrived, left = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        if when == "within the answer":
            connection.send(HALVES["length"])
        arrived.set()
        try:
            if connection.head() == b"":
                left.set()
        except ConnectionError:
            left.set()

    told = Told()
    with proxied(script) as proxy:
        proxy.pool.switch(told)
        with Client(proxy) as client:
            client.send(GET)
            assert arrived.wait(TIMEOUT)
            if when == "within the answer":
                Connection(client.sock).until(b"half")
        assert left.wait(TIMEOUT)  # the backend hears of it
    assert [ok for _, _, ok, _ in told.outcomes] == [None]  # and it is not blamed


def test_an_early_refusal_of_a_body_is_passed_on() -> None:
    def refuses(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    with proxied(refuses) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        status, head, body = client.answer()
        assert (status, body) == (413, b"no")
        assert b"Connection: close" in head


class ClosesIdle:
    """Answers one request a connection, then closes it when told."""

    def __init__(self) -> None:
        self.close = threading.Event()

    def __call__(self, connection: Connection) -> None:
        connection.head()
        connection.send(OK)
        self.close.wait(TIMEOUT)


def test_an_idle_connection_that_the_backend_closed_is_not_reused() -> None:
    script = ClosesIdle()
    with proxied(script) as proxy, Client(proxy) as client:
        client.send(GET)
        assert client.answer()[0] == 200
        script.close.set()
        while proxy.call(lambda: proxy.connections.idle):
            pass
        client.send(GET)
        assert client.answer()[0] == 200


def test_a_request_on_a_stale_kept_connection_is_sent_again_only_if_that_is_safe() -> None:
    requests = []

    def one_each(connection: Connection) -> None:
        """Closes on the second request, as a server after its keep-alive timeout."""
        requests.append(connection.head())
        connection.send(OK)
        connection.head()

    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    for request, expected in ((GET, 200), (post, 502)):
        with proxied(one_each) as proxy, Client(proxy) as client:
            client.send(GET)
            assert client.answer()[0] == 200

            def rest(proxy: Proxy = proxy) -> None:
                for idle in proxy.connections.idle.values():
                    for upstream in idle:
                        upstream.rested_since -= 10

            proxy.call(rest)
            client.send(request)
            assert client.answer()[0] == expected


def test_a_kill_under_load_loses_only_requests_in_flight() -> None:
    with Scripted(answers(OK)) as one, Scripted(answers(OK)) as two:
        pool = pool_of(one.port, two.port)
        with Proxy(pool) as proxy:
            statuses: list[int] = []

            def load() -> None:
                with Client(proxy) as client:
                    for i in range(200):
                        if i == 100:
                            one.close()
                        client.send(GET)
                        statuses.append(client.answer()[0])

            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert len(statuses) == 800
            assert set(statuses) <= {200, 502}
            assert statuses.count(502) <= 4  # one a connection at most was on its way
        assert all(b.in_flight == 0 for b in pool.backends)
