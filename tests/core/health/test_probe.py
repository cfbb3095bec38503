from __future__ import annotations

import pytest

from lbkit.core.health import Probe


@pytest.mark.parametrize(
    ("fields", "status", "body", "fault"),
    [
        ({}, 200, b"", ""),
        ({}, 399, b"", ""),
        ({}, 400, b"", "status 400"),
        ({"expect": "200, 503"}, 503, b"", ""),
        ({"expect": "200,503"}, 404, b"", "status 404"),
        ({"body": "ready"}, 200, b"all ready", ""),
        ({"body": "ready"}, 200, b"starting", "'ready' is not in the answer"),
    ],
)
def test_what_passes(fields: dict, status: int, body: bytes, fault: str) -> None:
    assert Probe(**fields).fault(status, body) == fault


def test_what_is_sent() -> None:
    probe = Probe(method="HEAD", path="/up?deep=1", headers={"X-Check": "yes"})
    assert probe.request("10.0.0.1:80") == (
        b"HEAD /up?deep=1 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nX-Check: yes\r\n"
        b"User-Agent: lbkit health check\r\nConnection: close\r\n\r\n"
    )
    assert b"\r\nHost: www.example.com\r\n" in Probe(host="www.example.com").request("10.0.0.1:80")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "icmp"}, "kind is 'icmp': use one of http, tcp, tls"),
        ({"method": "GET /"}, "method is 'GET /'"),
        ({"path": "health"}, "path is 'health': use one that begins with /"),
        ({"path": "/a\r\nb"}, "path is"),
        ({"host": "a b"}, "host is 'a b'"),
        ({"headers": {"X": "a\r\nb"}}, "headers has 'X'"),
        ({"port": 0}, "port is 0"),
        ({"expect": "2xx"}, "expect is '2xx': use statuses and ranges, such as 200-299, 304"),
    ],
)
def test_a_probe_that_makes_no_sense(fields: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Probe(**fields)
