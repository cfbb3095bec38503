"""The access log: a line for each exchange that no client can forge, and that `lbkit import` reads."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import GET, TIMEOUT, Client, answers, ask, proxied

from lbkit.edge import RateLimit
from lbkit.importer.log_lines import read_line
from lbkit.net.filters.access_log import FORMATS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
LINE = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(?P<line>[^"]*)" (?P<status>\d+) '
    r'(?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)" (?P<backend>\S+) rt=(?P<seconds>\d+\.\d{6}) '
    r"queue=(?P<queue>\S+) uct=(?P<connect>\S+) uht=(?P<header>\S+) urt=(?P<response>\S+)\n"
)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def lines(path: Path) -> list[dict[str, str]]:
    found = [LINE.fullmatch(line) for line in path.read_text(encoding="ascii").splitlines(keepends=True)]
    assert all(found)
    return [match.groupdict() for match in found if match]


def test_the_fields_of_a_line(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with proxied(answers(OK), access_log=str(log)) as proxy:
        ask(proxy, b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nReferer: /from\r\nUser-Agent: test 1.0\r\n\r\n")
        ask(proxy, b"HEAD / HTTP/1.0\r\n\r\n")
    first, second = lines(log)
    times = {name: float(first.pop(name)) for name in ("seconds", "queue", "connect", "header", "response")}
    assert 0 < times["connect"] <= times["header"] <= times["response"] <= times["seconds"] < 20
    assert times["queue"] + times["response"] == pytest.approx(times["seconds"], abs=2e-6)
    assert first == {
        "line": "GET /a?b=c HTTP/1.1",
        "status": "200",
        "size": "2",
        "referer": "/from",
        "agent": "test 1.0",
        "backend": "b1",
    }
    assert (second["line"], second["size"], second["agent"]) == ("HEAD / HTTP/1.0", "0", "-")


def test_bytes_of_bodies_are_counted_without_their_chunks(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with proxied(answers(CHUNKS), access_log=str(log)) as proxy:
        assert ask(proxy)[0] == 200
    assert lines(log)[0]["size"] == "7"


def test_own_answers_of_the_proxy_are_logged(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    one = RateLimit({"kind": "token_bucket", "rate": 0.01, "burst": 1})
    with proxied(answers(OK), access_log=str(log), rate_limits=[one]) as proxy:
        assert ask(proxy)[0] == 200
        status, _, body = ask(proxy)
        assert status == 429
    refused = lines(log)[1]
    assert (refused["status"], refused["size"], refused["backend"]) == ("429", str(len(body)), "-")
    assert {refused[name] for name in ("queue", "connect", "header", "response")} == {"-"}


def test_client_input_cannot_break_a_line_or_a_quoted_field(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with proxied(answers(OK), access_log=str(log)) as proxy:
        agent = b'x" 200 0 "\\ \xe9\t'
        ask(proxy, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: " + agent + b"\r\n\r\n")
    (line,) = lines(log)
    assert line["agent"] == r"x\x22 200 0 \x22\x5c \xe9"


def test_a_client_that_leaves_is_499(tmp_path: Path) -> None:
    log = tmp_path / "access.log"

    def silent(connection) -> None:
        connection.head()
        connection.head()

    with proxied(silent, access_log=str(log)) as proxy:
        with Client(proxy) as client:
            client.send(GET)
            until(lambda: proxy.call(lambda: sum(b.in_flight for b in proxy.pool.backends)))
        until(log.read_text)
    (line,) = lines(log)
    assert (line["status"], line["header"], line["response"]) == ("499", "-", "-")
    assert float(line["queue"]) < 20


@pytest.mark.parametrize("form", FORMATS)
def test_the_importer_reads_the_log(tmp_path: Path, form: str) -> None:
    log = tmp_path / "access.log"
    before = time.time()
    with proxied(answers(OK), access_log=str(log), access_log_format=form) as proxy:
        ask(proxy, b"GET /cart?a=b HTTP/1.1\r\nHost: a\r\n\r\n")
    entry = read_line(log.read_text())
    assert (entry.client, entry.path) == ("127.0.0.1", "/cart?a=b")
    assert entry.service is not None
    assert 0 <= entry.service <= entry.before < 20
    assert before - 1.1 < entry.stamp < time.time() + 0.1


def test_json_has_the_same_fields_and_no_input_breaks_it(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with proxied(answers(OK), access_log=str(log), access_log_format="json") as proxy:
        ask(proxy, b'GET /%22 HTTP/1.1\r\nHost: a\r\nUser-Agent: x"\xff\t\r\n\r\n')
        ask(proxy)
    first, second = map(json.loads, log.read_text(encoding="ascii").splitlines())
    assert (first["http_user_agent"], first["status"]) == ('x"\xff', 200)
    assert second["upstream_connect_time"] == 0 < first["upstream_connect_time"]  # a kept connection
    assert (second["backend"], second["attempts"], second["body_bytes_sent"]) == ("b1", 1, 2)
    assert first.keys() == second.keys() > {"queue_time", "upstream_header_time", "upstream_response_time"}


def test_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with proxied(answers(OK), access_log="-") as proxy:
        ask(proxy)
    assert LINE.fullmatch(capfd.readouterr().err)
