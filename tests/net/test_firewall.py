"""The firewall in the proxy: what is refused, what is only recorded, and that bodies arrive whole."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest
from scripted import Client, Connection, ask, echo, field, proxied

from lbkit.firewall import FirewallRules
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.filters.base import Filter
from lbkit.net.filters.firewall import RECORDS
from lbkit.net.messages import Hold
from lbkit.net.preflight import start_faults
from lbkit.net.settings import Limits, Timeouts

BLOCK = FirewallRules(mode="block")
HEAD = "Host: a\r\nUser-Agent: test\r\n"


def get(target: str = "/", *lines: str, method: str = "GET") -> bytes:
    more = "".join(line + "\r\n" for line in lines)
    return f"{method} {target} HTTP/1.1\r\n{HEAD}{more}\r\n".encode()


def post(body: bytes, *lines: str, media: str = "application/x-www-form-urlencoded") -> bytes:
    return get("/", f"Content-Type: {media}", f"Content-Length: {len(body)}", *lines, method="POST") + body


def records(proxy: Any) -> list[dict[str, Any]]:
    return list(proxy.filters["firewall"].records)


# -- refusing, and recording only --------------------------------------------------------------------


def test_an_attack_is_refused_and_the_connection_goes_on() -> None:
    with proxied(echo, firewall=BLOCK) as proxy, Client(proxy) as client:
        client.send(get("/a?id=1+or+1%3D1"))
        status, _, body = client.answer()
        assert (status, body) == (403, b"403 Forbidden: refused\n")  # without what was found
        client.send(get("/a?id=1"))
        assert client.answer()[0] == 200
        (record,) = records(proxy)
    assert (record["client"], record["method"], record["path"]) == ("127.0.0.1", "GET", "/a")
    assert (record["status"], record["blocked"], record["score"]) == (403, True, 10)
    assert [finding["id"] for finding in record["findings"]] == [1003, 1004]


def test_monitor_mode_records_and_lets_pass() -> None:
    with proxied(echo, firewall=FirewallRules()) as proxy:
        assert ask(proxy, get("/.git/config"))[0] == 200
        assert ask(proxy, post(b"q='--&a='+or+1=1"))[0] == 200
        found = records(proxy)
    assert [record["blocked"] for record in found] == [False, False]


def test_a_method_that_is_not_allowed_is_405_and_names_those_that_are() -> None:
    with proxied(echo, firewall=FirewallRules(mode="block", methods=("GET", "HEAD"))) as proxy:
        status, head, _ = ask(proxy, post(b""))
    assert status == 405
    assert field(head, "Allow") == ["GET, HEAD"]


def test_a_denied_network_is_refused_and_an_allowed_one_is_not_looked_at() -> None:
    with proxied(echo, firewall=FirewallRules(mode="block", deny=("127.0.0.0/8",))) as proxy:
        assert ask(proxy, get())[0] == 403
    with proxied(echo, firewall=FirewallRules(mode="block", allow=("127.0.0.1",))) as proxy:
        assert ask(proxy, get("/.git/config"))[0] == 200


def test_the_client_behind_a_trusted_proxy_counts() -> None:
    rules = FirewallRules(mode="block", deny=("203.0.113.0/24",))
    with proxied(echo, firewall=rules, trusted=["127.0.0.1"]) as proxy:
        assert ask(proxy, get("/", "X-Forwarded-For: 203.0.113.7"))[0] == 403
        assert ask(proxy, get("/", "X-Forwarded-For: 198.51.100.7"))[0] == 200


def test_without_a_firewall_there_is_no_hook() -> None:
    with proxied(echo) as proxy:
        assert proxy.service.on_request == ()


# -- bodies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 70_000, 1_000_000])
def test_a_harmless_body_arrives_whole(size: int) -> None:
    body = b"a=" + b"x" * size
    with proxied(echo, firewall=BLOCK) as proxy:
        status, _, seen = ask(proxy, post(body))
    assert status == 200
    assert seen.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("kind", ["form", "json", "chunks"])
def test_an_attack_in_a_body_is_refused_before_a_backend_sees_it(kind: str) -> None:
    request = {
        "form": post(b"user=admin'--&pass=x"),
        "json": post(b'{"q": "<script>"}', media="application/json"),
        "chunks": get("/", "Transfer-Encoding: chunked", "Content-Type: text/plain", method="POST")
        + b"4\r\n<scr\r\n4\r\nipt>\r\n0\r\n\r\n",
    }[kind]
    with proxied(echo, firewall=BLOCK) as proxy:
        assert ask(proxy, request)[0] == 403
        assert proxy.scripted[0].connections == 0  # type: ignore[attr-defined]
        assert len(records(proxy)) == 1


def test_a_body_that_comes_in_pieces_is_put_together_first() -> None:
    whole = post(b"user=admin'--")
    with proxied(echo, firewall=BLOCK) as proxy, Client(proxy) as client:
        for i in range(len(whole) - 14, len(whole)):
            client.send(whole[:i] if i == len(whole) - 14 else whole[i - 1 : i])
        client.send(whole[-1:])
        assert client.answer()[0] == 403


def test_a_client_that_waits_for_100_gets_it() -> None:
    with proxied(echo, firewall=BLOCK) as proxy, Client(proxy) as client:
        whole = post(b"a=b", "Expect: 100-continue")
        client.send(whole[:-3])
        assert client.answer()[0] == 100
        client.send(whole[-3:])
        status, _, seen = client.answer()
        assert status == 200
        assert seen.endswith(b"a=b")


@pytest.mark.parametrize("line", ["Content-Type: application/grpc+json", "Content-Encoding: gzip"])
def test_a_body_that_is_not_looked_at_goes_on_at_once(line: str) -> None:
    """A stream may wait for an answer before it says more."""
    with proxied(streaming, firewall=attrs.evolve(BLOCK, encoded="pass")) as proxy, Client(proxy) as client:
        client.send(get("/", "Transfer-Encoding: chunked", line, method="POST") + b"2\r\nhi\r\n")
        assert client.answer()[0] == 200


def streaming(connection: Connection) -> None:
    """Answers after the first chunk of a body that does not end."""
    connection.head()
    connection.until(b"hi\r\n")
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_bodies_can_be_left_alone() -> None:
    with proxied(echo, firewall=FirewallRules(mode="block", bodies=False)) as proxy:
        assert ask(proxy, post(b"user=admin'--"))[0] == 200


def test_a_body_that_stops_coming_is_408() -> None:
    with proxied(echo, firewall=BLOCK, timeouts=Timeouts(read=0.1)) as proxy, Client(proxy) as client:
        client.send(post(b"a=bcd")[:-2])
        assert client.answer()[0] == 408


def test_a_body_over_the_limit_is_413_while_it_is_held() -> None:
    chunked = get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nabcde\r\n"
    with proxied(echo, firewall=BLOCK, limits=Limits(body=8)) as proxy, Client(proxy) as client:
        client.send(chunked)
        client.send(b"5\r\nabcde\r\n0\r\n\r\n")
        assert client.answer()[0] == 413
        assert proxy.scripted[0].connections == 0  # type: ignore[attr-defined]


def test_a_client_that_leaves_while_its_body_is_held_leaves_nothing() -> None:
    seen = threading.Event()

    def script(connection: Connection) -> None:
        seen.set()
        echo(connection)

    with proxied(script, firewall=BLOCK) as proxy:
        with Client(proxy) as client:
            client.send(post(b"a=bcd")[:-2])
        assert ask(proxy, get())[0] == 200
        assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]
        assert seen.is_set()


def test_a_filter_that_fails_on_a_body_is_a_500(capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(Filter):
        name = "broken"

        def on_request(self, exchange: Any, now: float) -> Hold:
            return Hold(self.on_body)

        def on_body(self, exchange: Any, body: bytes, now: float) -> None:
            raise RuntimeError("no")

    with proxied(echo) as proxy:
        proxy.call(lambda: setattr(proxy.service, "on_request", (Broken().on_request,)))
        assert ask(proxy, post(b"a"))[0] == 500
    assert "broken failed" in capfd.readouterr().err


# -- the audit record --------------------------------------------------------------------------------


def test_the_audit_file_has_a_line_of_json_for_each_and_no_secrets(tmp_path: Path) -> None:
    log = tmp_path / "audit"
    with proxied(echo, firewall=FirewallRules(mode="block", audit=str(log))) as proxy:
        secrets = ("Cookie: sid=S3CRET", "Authorization: Basic S3CRET")
        assert ask(proxy, get("/.env?password=S3CRET", *secrets))[0] == 403
        assert ask(proxy, post(b"password=S3CRET'--&text=<script>S3CRET" + b"x" * 9000, *secrets))[0] == 403
        assert ask(proxy, get("/" + "a" * 3000 + "/.git/"))[0] == 403
        assert ask(proxy, get("/fine"))[0] == 200
    text = log.read_text()
    first, second, third = map(json.loads, text.splitlines())
    assert "S3CRET" not in text
    assert (first["path"], second["path"], len(third["path"])) == ("/.env", "/", 200)
    assert {"id": 1005, "attack": "sqli", "score": 5, "part": "argument password", "excerpt": "[hidden]"} in (
        second["findings"]
    )
    assert len(text) < 3000


def test_records_in_memory_are_bounded() -> None:
    with proxied(echo, firewall=BLOCK) as proxy:
        proxy.filters["firewall"].records.extend([{}] * (RECORDS + 5))
        assert len(records(proxy)) == RECORDS


def test_a_path_that_tries_to_forge_a_line_stays_in_it(capfd: pytest.CaptureFixture[str]) -> None:
    with proxied(echo, firewall=FirewallRules(audit="-")) as proxy:
        ask(proxy, get("/.git/%0a{}?q=<script>%0d%0a{}%1b[2J"))
    (line,) = capfd.readouterr().err.splitlines()
    assert line.isprintable()
    assert json.loads(line)["status"] == 403


# -- the settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"mode": "blok"}, "mode is 'blok': use monitor, block; did you mean block"),
        ({"threshold": 0}, "threshold is 0"),
        ({"deny": ["10.0.0.0/99"]}, "deny: .*use addresses or networks such as 10.0.0.0/8"),
        ({"allow": "10.0.0.0/8"}, "allow is '10.0.0.0/8': use a list"),
        ({"methods": ["get"]}, "methods has 'get': methods have case; use GET"),
        ({"methods": "GET"}, "methods"),
        ({"off": [7]}, "off has 7: use ids that records show"),
        ({"off": [True]}, "off.* is True: use a whole number"),
        ({"treshold": 5}, "unknown.*did you mean threshold"),
    ],
)
def test_a_wrong_setting_is_named(rules: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], "firewall": rules})


def test_an_audit_file_that_cannot_be_written_is_found_before_the_start(tmp_path: Path) -> None:
    config = ProxyConfig.from_dict(
        {"backends": [{"address": "127.0.0.1:1"}], "firewall": {"audit": str(tmp_path / "no" / "audit")}}
    )
    assert any(fault.startswith("firewall.audit is ") for fault in start_faults(config))


# -- coded bodies ------------------------------------------------------------------------------------

CODED = gzip.compress(b"user=admin'--")


@pytest.mark.parametrize("how", ["inspect", "refuse", "pass"])
def test_a_coded_body_is_decoded_refused_or_passed(how: str) -> None:
    with proxied(echo, firewall=attrs.evolve(BLOCK, encoded=how)) as proxy:
        status, head, _ = ask(proxy, post(CODED, "Content-Encoding: gzip"))
        assert status == {"inspect": 403, "refuse": 415, "pass": 200}[how]
        assert (field(head, "Accept-Encoding") == ["gzip, deflate"]) == (status == 415)
        harmless = gzip.compress(b"user=admin")
        status, _, seen = ask(proxy, post(harmless, "Content-Encoding: gzip"))
    if how != "refuse":
        assert status == 200
        assert seen.endswith(harmless)  # as it came


def test_a_body_in_an_unknown_coding_is_415_unless_that_rule_is_off() -> None:
    request = post(b"xyz", "Content-Encoding: br")
    with proxied(echo, firewall=BLOCK) as proxy:
        assert ask(proxy, request)[0] == 415
        assert records(proxy)[0]["findings"][0]["id"] == 106
    with proxied(echo, firewall=attrs.evolve(BLOCK, off=(106,))) as proxy:
        assert ask(proxy, request)[0] == 200
    with proxied(echo, firewall=FirewallRules()) as proxy:
        assert ask(proxy, request)[0] == 200
        assert [record["blocked"] for record in records(proxy)] == [False]
