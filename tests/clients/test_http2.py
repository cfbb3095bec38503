"""The load's HTTP/2 client against lbkit's proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from needs import need_feature

need_feature("live")
need_feature("http2")

import gevent
from h2_backend import Request, Session, h2_answers, h2_script
from http2_client import OK, serving
from scripted import Connection, Scripted, answers, echo

from lbkit.clients.http1 import Target
from lbkit.clients.http2 import Http2
from lbkit.net import Proxy

TIMEOUT = 10.0


@contextmanager
def client_of(proxy: Proxy) -> Iterator[Http2]:
    client = Http2(Target(proxy.host, proxy.port, TIMEOUT))
    yield client
    client.close()


def test_requests_share_a_connection() -> None:
    with serving(answers(OK)) as proxy, client_of(proxy) as client:
        asked = [
            gevent.spawn(client.request, "GET", f"/{i}", {"User-Agent": "test"}, b"") for i in range(150)
        ]
        gevent.joinall(asked, timeout=TIMEOUT, raise_error=True)
        assert {(one.value.status, one.value.body) for one in asked} == {(200, b"ok")}
        assert len(proxy.listener.open) == 1


def test_a_body_larger_than_the_window_arrives() -> None:
    body = b"a" * 200_000
    with serving(echo) as proxy, client_of(proxy) as client:
        answer = client.request("POST", "/", {"Host": "a.test"}, body)
    assert answer.status == 200
    assert answer.body.count(b"a") >= len(body)
    assert b"host: a.test" in answer.body.lower()


def test_a_client_that_stops_waiting_resets_its_stream() -> None:
    def never(connection: Connection) -> None:
        connection.head()
        connection.sock.recv(1)  # until the proxy leaves

    with serving(never) as proxy, client_of(proxy) as client:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.2):
            client.request("GET", "/", {}, b"")
        gevent.sleep(0)
        assert len(proxy.listener.open) == 1  # the connection goes on


def test_the_next_request_has_a_new_connection_when_the_first_has_ended() -> None:
    with serving(answers(OK), answers(OK)) as proxy, client_of(proxy) as client:
        assert client.request("GET", "/", {}, b"").status == 200
        first = client._connection
        assert first
        first.close()
        assert client.request("GET", "/", {}, b"").status == 200
        assert client._connection is not first


def test_a_request_that_a_leaving_balancer_has_not_taken_is_sent_on_a_new_connection() -> None:
    seen: list[int] = []

    def leave(session: Session, request: Request) -> None:
        seen.append(request.stream)
        if len(seen) == 2:  # both are here: the first is taken, the second is not
            session.goaway(last=1)
            session.answer(1, b"taken")

    scripts = iter((h2_script(leave), h2_answers(b"new")))
    with Scripted(lambda connection: next(scripts)(connection)) as server:
        client = Http2(Target("127.0.0.1", server.port, TIMEOUT))
        asked = [gevent.spawn(client.request, "GET", f"/{i}", {}, b"") for i in range(2)]
        gevent.joinall(asked, timeout=TIMEOUT, raise_error=True)
        client.close()
    assert [one.value.body for one in asked] == [b"taken", b"new"]
