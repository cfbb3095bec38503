"""The cache with clients of HTTP/2, whose requests for one thing may all come on one connection."""

from __future__ import annotations

import threading

from needs import need_feature

need_feature("http2")

from http2_client import Http2Client, get, serving, until
from scripted import TIMEOUT, Connection

from lbkit.caching import Caching
from lbkit.net.filters.cache import CacheFilter

OK = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=99\r\nContent-Length: 2\r\n\r\nhi"


def test_a_leader_that_is_reset_does_not_end_the_flight_of_others() -> None:
    arrived, go_on, asked = threading.Event(), threading.Event(), []

    def origin(connection: Connection) -> None:
        while head := connection.head():
            asked.append(head)
            arrived.set()
            go_on.wait(TIMEOUT)
            connection.send(OK)

    with serving(origin, cache=Caching()) as proxy, Http2Client(proxy) as client:
        leader = client.request(get(b"/a"))
        assert arrived.wait(TIMEOUT)
        followers = [client.request(get(b"/a")) for _ in range(5)]
        made = proxy.filters["cache"]
        assert isinstance(made, CacheFilter)
        until(lambda: proxy.call(lambda: len(made._following)) == 5)
        client.reset(leader)
        client.reset(followers.pop())
        until(lambda: proxy.call(lambda: len(made._following)) == 4)
        go_on.set()
        client.until(lambda: all(client.got[number].over for number in followers))
        assert [client.got[number].body for number in followers] == [b"hi"] * 4
        hit = client.ask(get(b"/a"))
        assert hit.body == b"hi"
        assert b"; hit;" in hit.fields[b"cache-status"]
    assert len(asked) == 1
