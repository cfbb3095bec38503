"""The access log: a line for each exchange that no client can forge, and that `lbkit import` reads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import GET, TIMEOUT, Client, answers, ask, proxied

from lbkit.edge import RateLimit
from lbkit.importer.log_lines import read_line

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
LINE = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(?P<line>[^"]*)" (?P<status>\d+) '
    r'(?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)" (?P<backend>\S+) (?P<seconds>\d+\.\d{6})\n'
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
    assert float(first.pop("seconds")) < 20
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
    assert lines(log)[0]["status"] == "499"


def test_the_importer_reads_the_log(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with proxied(answers(OK), access_log=str(log)) as proxy:
        ask(proxy, b"GET /cart HTTP/1.1\r\nHost: a\r\n\r\n")
    entry = read_line(log.read_text())
    assert (entry.client, entry.path) == ("127.0.0.1", "/cart")
    assert entry.service == entry.before >= 0


def test_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with proxied(answers(OK), access_log="-") as proxy:
        ask(proxy)
    assert LINE.fullmatch(capfd.readouterr().err)
