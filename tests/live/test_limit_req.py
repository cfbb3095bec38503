"""Our version of nginx's limit_req beside nginx's own: the same waves of requests, the same answers."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import Backend, Experiment, servers
from lbkit.core.limit import NginxLimit
from lbkit.live.peers.nginx import Nginx


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def limited(words: str) -> Iterator[int]:
    """nginx's port, with `limit_req zone=clients <words>` at 10 requests a second."""
    need("nginx")

    class Limited(Nginx):
        def config(self) -> str:
            text = super().config()
            zone = (
                "http {\n  limit_req_zone $remote_addr zone=clients:1m rate=10r/s;\n  limit_req_status 429;"
            )
            text = text.replace("http {", zone, 1)
            return text.replace("location / {", f"location / {{\n      limit_req zone=clients {words};", 1)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    nginx = Limited(Experiment(servers(1)))
    try:
        nginx.start([Backend("s1", host="127.0.0.1", port=server.server_address[1])])
        yield nginx.port
    finally:
        nginx.stop()
        server.shutdown()
        server.server_close()


def ask(port: int) -> tuple[int, float]:
    """Status, and seconds it took."""
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.monotonic() - start


@pytest.mark.parametrize("burst", [0, 5])
def test_bursts_at_limit_req(burst: int) -> None:
    """A wave is over in some milliseconds, in which less than one request's worth leaks out."""
    ours = NginxLimit(rate=10, burst=burst)
    with limited(f"burst={burst} nodelay" if burst else "") as port:
        start = time.monotonic()
        admitted, expected = [], []
        for moment in (0.0, 0.35, 0.85, 2.0):
            time.sleep(max(0.0, start + moment - time.monotonic()))
            began = time.monotonic()
            admitted.append(sum(ask(port)[0] == 200 for _ in range(12)))
            if time.monotonic() - began > 0.04:
                pytest.skip("platform: too slow for a wave")
            expected.append(sum(ours.admit("k", moment).allowed for _ in range(12)))
    assert admitted == expected
    assert admitted[0] == burst + 1


def test_delays_of_limit_req() -> None:
    """Without nodelay the burst is let through at the rate: a tenth of a second between one and the next."""
    ours = NginxLimit(rate=10, burst=5, delay=2)
    expected = [ours.admit("k", 0.0) for _ in range(9)]
    delays = [d.delay for d in expected if d.allowed]
    seen = []
    with limited("burst=5 delay=2") as port, ThreadPoolExecutor(9) as threads:
        for _ in range(5):  # on a busy machine a wave may take long: then another one
            answers = sorted(threads.map(ask, [port] * 9))
            waits = [seconds for status, seconds in answers if status == 200]
            seen.append(waits)
            if waits == pytest.approx(delays, abs=0.08):
                break
            time.sleep(1.0)  # until nothing is left of this one
    assert seen[-1] == pytest.approx(delays, abs=0.08), seen
    assert [status for status, _ in answers] == [200] * len(delays) + [429] * 3
