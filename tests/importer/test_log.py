from __future__ import annotations

import bz2
import gzip
import json
import lzma
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import Exponential, Server, Trace, compare, run, servers
from lbkit.experiment import Experiment
from lbkit.importer import ImportFault, read_log
from lbkit.importer.log import Log
from lbkit.importer.log_lines import NoRequest, read_line
from lbkit.importer.log_servers import MOST_TIMES, concurrency, distribution
from lbkit.workload import workload

COMBINED = """\
10.0.0.1 - - [24/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 128 "-" "curl/8" 0.010
10.0.0.2 - bob [24/Nov/2026:10:00:00 +0000] "POST /b?x=1 HTTP/1.1" 201 5 "-" "Mozilla/5.0 (X11)" 0.030
this is no request
10.0.0.1 - - [24/Nov/2026:10:00:03 +0000] "GET /a HTTP/1.1" 200 128 "-" "curl/8" 0.020
"""
NOON = 1795514400.0  # 24 November 2026, 10:00:00 UTC


def read(tmp_path: Path, text: str, form: str | None = None) -> Log:
    path = tmp_path / "access.log"
    path.write_text(text)
    return read_log(path, form)


def test_arrival_is_the_time_of_logging_less_the_request_time(tmp_path: Path) -> None:
    log = read(tmp_path, COMBINED)
    # Two in one second are spread over it, then 0.01, 0.03 and 0.02 s are taken off.
    assert log.times == pytest.approx([0, 0.48, 2.99])
    assert log.clients == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
    assert log.paths == ["/a", "/b?x=1", "/a"]
    assert log.service == [0.01, 0.03, 0.02]
    assert log.report() == [
        "access.log: 3 of 4 lines read, 3 requests in 3.0 s",
        "  not read: access.log, line 3: unknown format: this is no request",
        "  note: of the numbers with decimals after a line, the first is read as its request time, the second"
        " as its upstream's; --format says otherwise",
    ]


def test_requests_are_in_order_of_arrival_though_the_log_is_in_order_of_their_end(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        f'{{"msec": "{NOON + 1:.3f}", "client": "a", "uri": "/quick", "request_time": 0.1}}\n'
        f'{{"msec": "{NOON + 2:.3f}", "client": "a", "uri": "/slow", "request_time": 1.9}}\n',
    )
    assert log.paths == ["/slow", "/quick"]
    assert log.times == pytest.approx([0, 0.8])


def test_zero_is_a_time(tmp_path: Path) -> None:
    log = read(tmp_path, COMBINED.replace("0.020", "0.000"))
    assert log.service == [0.01, 0.03, 0.0]
    assert log.served().times == (1e-6, 0.01, 0.03)
    assert len(log.traffic().arrivals.demands) == 3


def test_common_without_times(tmp_path: Path) -> None:
    log = read(tmp_path, '1.2.3.4 - - [24/Nov/2026:10:00:00 +0000] "GET / HTTP/1.0" 304 -\n')
    assert log.service == [None]
    assert log.served() is None
    assert log.traffic().arrivals.demands == ()


HEAD = '10.0.0.9 - - [24/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11; 5.15)"'
HTTPLOG = (
    "{}:33317 [24/Nov/2026:10:00:00.000] http-in static/srv1 10/0/30/250/290 200 2750 - - ---- 1/1/1/1/0 0/0"
    ' {{1wt.eu}} {{}} "GET /x HTTP/1.1"'
)


@pytest.mark.parametrize(
    ("line", "service", "before"),
    [
        # nginx: packaged main format, and the usual additions.
        (f'{HEAD} "203.0.113.7, 10.1.1.1"', None, 0),
        (f'{HEAD} "-"', None, 0),
        (f"{HEAD} 0.250", 0.25, 0.25),
        (f'{HEAD} "-" 0.300 0.250', 0.25, 0.3),
        (f'{HEAD} "0.300" "0.250"', 0.25, 0.3),
        (f'{HEAD} "-" rt=0.300 uct="0.000" uht="0.010" urt="0.250"', 0.25, 0.3),
        (f"{HEAD} rt=0.300 urt=0.250", 0.25, 0.3),
        (f"{HEAD} rt=0.300 urt=-", 0.3, 0.3),
        (f'{HEAD} request_time: 0.300 upstream_response_time: "0.250"', 0.25, 0.3),
        # Prefixes.
        (f"web_1  | {HEAD} 0.250", 0.25, 0.25),
        (f"2026-11-24T10:00:00.123456789Z {HEAD} 0.250", 0.25, 0.25),
        (f"2026-11-24T10:00:00.1Z stdout F {HEAD} 0.250", 0.25, 0.25),
        (f"Nov 24 10:00:00 web1 nginx: {HEAD} 0.250", 0.25, 0.25),
        (f"<190>Nov  4 10:00:00 web1 nginx[12]: {HEAD} 0.250", 0.25, 0.25),
        (f"<190>1 2026-11-24T10:00:00Z web1 nginx 12 - - {HEAD} 0.250", 0.25, 0.25),
        # vhost_combined.
        (f"www.example.com:443 {HEAD}", None, 0),
        (f"www.example.com {HEAD}", None, 0),
        # ingress-nginx
        (
            f"{HEAD} 407 0.300 [shop-web-80] [] 10.4.0.7:8080 612 0.250 200 6d6fb2",
            *(0.25, 0.3),
        ),
        # What looks like a time, and is none.
        (HEAD.replace("Mozilla/5.0 (X11; 5.15)", "1.0"), None, 0),
        (HEAD.replace("Mozilla/5.0 (X11; 5.15)", "a time=3 b"), None, 0),
        (f'{HEAD} "-" "3.21" 0.300 0.250', 0.25, 0.3),  # $gzip_ratio
        (f"{HEAD} 500 1234", None, 0),  # combinedio
        # Apache's %T and %D, which logs when the request came.
        (f"{HEAD} 250000 0", 0.25, 0),
        (f"{HEAD} 2 2500000", 2.5, 0),
        (f"{HEAD} **0/250000**", 0.25, 0),
        # Others, most of which log that, too.
        (f'{HEAD} 12 "whoami@docker" "http://172.17.0.3:80" 250ms', 0.25, 0),
        (
            "https 2026-11-24T10:00:00.000000Z app/lb/50dc6c 10.0.0.9:2817 10.0.0.1:80 0.000 0.250 0.000 200"
            ' 200 34 366 "GET /x HTTP/1.1" "curl/7.46.0" - - arn:aws',
            *(0.25, 0.25),
        ),
        (
            '[2026-11-24T10:00:00.000Z] "GET /x HTTP/2" 200 - 154 0 300 250 "10.0.0.9" "agent" "cc21" "web"'
            ' "tcp://10.0.2.1:80"',
            *(0.25, 0),
        ),
        (
            '[2026-11-24T10:00:00.000Z] "GET /x HTTP/1.1" 200 - via_upstream - "-" 0 135 300 -'
            ' "10.0.0.9,10.1.1.1" "agent" "84961386" "httpbin:8000"',
            *(0.3, 0),
        ),
        # HAProxy logs when the request came.
        (HTTPLOG.format("10.0.0.9").replace("10:00:00.000", "11:00:00.000 +0100"), 0.25, 0),
        (HTTPLOG.format("10.0.0.9"), 0.25, 0),
        (f"Nov 24 10:00:00 lb haproxy[14389]: {HTTPLOG.format('10.0.0.9')}", 0.25, 0),
        (HTTPLOG.format("10.0.0.9") + " 0/0000000000000000/0/0/0 www.example.com/TLSv1.3/AES", 0.25, 0),
        (
            '10.0.0.9 - - [24/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200 2750 "" "" 33317 655 "http-in"'
            ' "static" "srv1" 10 0 30 250 290 ---- 1 1 1 1 0 0 0 "" "" "" ""',
            *(0.25, 0),
        ),
        (HTTPLOG.format("10.0.0.9").replace("/250/", "/-1/"), None, 0),
    ],
)
def test_each_format(line: str, service: float | None, before: float) -> None:
    entry = read_line(line)
    assert (entry.client, entry.path, entry.stamp) == ("10.0.0.9", "/x", NOON)
    assert entry.service == service
    assert entry.before == before


@pytest.mark.parametrize(
    ("numbers", "seconds"),
    [
        (["250000", "1200", "0"], [0.25, 0.0012, 0]),  # %D
        (["250", "80", "0"], [0.00025, 0.00008, 0]),  # %D of a quick server
        (["2", "0", "11"], [2, 0, 11]),  # %T
    ],
)
def test_apaches_numbers_get_their_unit_from_the_whole_log(tmp_path: Path, numbers, seconds) -> None:
    log = read(tmp_path, "".join(f"{HEAD} {number}\n" for number in numbers))
    assert log.service == pytest.approx(seconds)
    assert log.times == [i / len(numbers) for i in range(len(numbers))]  # %t is when the request came
    assert "is read as" in log.report()[-1]


@pytest.mark.parametrize(
    ("urt", "service", "tries"),
    [
        ("0.300, 0.200", 0.2, 2),
        ("0.300, -", 0.3, 2),
        ("0.100 : 0.200", 0.2, 2),
        ("0.1, 0.2 : 0.3", 0.3, 3),
        ("-", 0.5, 1),
    ],
)
def test_several_tries_in_one_field_are_counted(urt: str, service: float, tries: int) -> None:
    entry = read_line(f'{HEAD} rt=0.5 urt="{urt}"')
    assert (entry.service, entry.tries, entry.before) == (service, tries, 0.5)
    line = {"ts": NOON, "client": "a", "uri": "/x", "request_time": 0.5, "upstream_response_time": urt}
    entry = read_line(json.dumps(line))
    assert (entry.service, entry.tries, entry.before) == (service, tries, 0.5)


@pytest.mark.parametrize(
    ("line", "client", "path"),
    [
        (HEAD.replace("10.0.0.9", "2001:db8::7"), "2001:db8::7", "/x"),
        (f"www.example.com:80 {HEAD.replace('10.0.0.9', '2001:db8::7')}", "2001:db8::7", "/x"),
        (HTTPLOG.format("2001:db8::7"), "2001:db8::7", "/x"),
        (HEAD.replace("- -", "- john doe"), "10.0.0.9", "/x"),
        (HEAD.replace("/x", r"/say\"hello\""), "10.0.0.9", r"/say\"hello\""),
        (HEAD.replace('"Mozilla', r'"quoted \"Mozilla\" [1]'), "10.0.0.9", "/x"),
        (HEAD.replace("/x", "/a b"), "10.0.0.9", "/a b"),
        (HEAD.replace("GET /x", "OPTIONS *"), "10.0.0.9", "*"),
        (HEAD.replace("GET /x", "CONNECT example.com:443"), "10.0.0.9", "example.com:443"),
        (HEAD.replace("10.0.0.9", "client.example.org"), "client.example.org", "/x"),
    ],
)
def test_addresses_names_and_quotes(line: str, client: str, path: str) -> None:
    entry = read_line(line)
    assert (entry.client, entry.path) == (client, path)


@pytest.mark.parametrize(
    ("address", "client"),
    [("10.0.0.9:1234", "10.0.0.9"), ("[2001:db8::1]:443", "2001:db8::1"), ("2001:db8::1", "2001:db8::1")],
)
def test_a_client_is_its_address_without_the_port(address: str, client: str) -> None:
    line = {"ts": NOON, "duration": 0.25, "request": {"remote_addr": address, "uri": "/x"}}
    assert read_line(json.dumps(line)).client == client
    assert read_line(HEAD.replace("10.0.0.9", address)).client == client


def test_the_client_is_the_first_of_those_that_passed_a_request_on() -> None:
    assert read_line(HEAD.replace("10.0.0.9", "203.0.113.7, 10.0.0.2")).client == "203.0.113.7"


def test_haproxy_marks_what_it_sent_to_another_server() -> None:
    line = HTTPLOG.format("10.0.0.9")
    assert [read_line(line.replace("1/1/1/1/0", f"1/1/1/1/{n}")).tries for n in ("0", "2", "+2")] == [1, 1, 2]


def test_a_clock_that_was_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ImportFault, match=r"from 1970-01-01 \(the next of 2026-11-24\) to 2026-11-24 .* 116 days"
    ):
        read(tmp_path, COMBINED + HEAD.replace("24/Nov/2026", "01/Jan/1970") + "\n")


@pytest.mark.parametrize(
    "line",
    [
        '{"ts": 1e300, "client": "a", "uri": "/", "duration": 1}',
        '{"ts": 1, "client": "a", "uri": "/", "duration": 1e99}',
        '{"ts": 1, "client": "a", "uri": "/", "duration": "1e9h99999999h"}',
        '{"a":' * 100_000,
        '{"log": ' * 3 + '"x"' + "}" * 3,
        f"{HEAD} 99999999999.000",
    ],
)
def test_hostile_lines_are_not_read(line: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|too many brackets|has none of"):
        read_line(line)


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_compressed_logs(tmp_path: Path, module) -> None:
    path = tmp_path / "access.log.1"
    path.write_bytes(module.compress(COMBINED.encode() * 1000))
    assert len(read_log(path)) == 3000
    assert read_log(path).notes == read(tmp_path, COMBINED).notes


def test_a_damaged_compressed_log_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    lines = "".join(f"{HEAD} {i % 977 / 1000:.3f}\n" for i in range(5000))
    path.write_bytes(gzip.compress(lines.encode())[:-4000])
    log = read_log(path)
    assert 0 < len(log) < 5000
    assert "damaged" in log.report()[-2]


def test_a_log_cannot_send_commands_to_the_terminal(tmp_path: Path) -> None:
    report = read(tmp_path, f"{HEAD}\n\x1b[2J\x1b]0;title\x07\n").report()
    assert all(line.isprintable() for line in report)


@pytest.mark.parametrize("request_", ["", "-", r"\x16\x03\x01\x00", "<BADREQ>", "hello", r"\x03\x00\x00/*"])
def test_what_scanners_send_is_counted_apart(tmp_path: Path, request_: str) -> None:
    noise = HEAD.replace("GET /x HTTP/1.1", request_).replace(" 200 ", " 400 ")
    log = read(tmp_path, f"{HEAD}\n{noise}\n{noise}\n")
    assert (len(log), len(log.no_requests), len(log.unread)) == (1, 2, 0)
    assert log.report()[1].startswith(
        "  left out, as the client did not send HTTP: 2 lines, first access.log"
    )
    with pytest.raises(NoRequest):
        read_line(noise)


@pytest.mark.parametrize(
    "line",
    [
        # nginx, a usual log_format json
        {"time_iso8601": "2026-11-24T10:00:00+00:00", "remote_addr": "10.0.0.9", "request_uri": "/x"}
        | {"request_time": "0.250"},
        {"msec": "1795514400.000", "remote_addr": "10.0.0.9", "request": "GET /x HTTP/1.1"}
        | {"request_time": 0.25},
        # Caddy
        {"ts": NOON, "duration": 0.25, "request": {"remote_ip": "10.0.0.9", "uri": "/x"}},
        {
            "ts": "2026/11/24 10:00:00.000",
            "duration": "250ms",
            "request": {"remote_ip": "10.0.0.9", "uri": "/x"},
        },
    ],
)
def test_json_is_logged_at_the_end_of_a_request(line: dict) -> None:
    entry = read_line(json.dumps(line))
    assert (entry.client, entry.path, entry.service, entry.before) == ("10.0.0.9", "/x", 0.25, 0.25)
    if not isinstance(line.get("ts"), str):  # that one has no time zone
        assert entry.stamp == NOON


def test_traefik_counts_in_nanoseconds_and_says_when_a_request_came() -> None:
    line = {
        "ClientHost": "10.0.0.9",
        "Duration": 300_000_000,
        "OriginDuration": 250_000_000,
        "RequestPath": "/x",
        "StartUTC": "2026-11-24T10:00:00Z",
        "time": "2026-11-24T10:00:01Z",
    }
    assert read_line(json.dumps(line)) == ("10.0.0.9", "/x", NOON, 0.0, 0.25, 1, None, 0, None)


def test_dockers_own_files() -> None:
    line = json.dumps({"log": f"{HEAD} 0.250\n", "stream": "stdout", "time": "2026-11-24T10:00:09Z"})
    entry = read_line(line)
    assert (entry.stamp, entry.service) == (NOON, 0.25)


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_an_epoch_in_any_unit(unit: float) -> None:
    line = {"timestamp": NOON * unit, "client": "a", "uri": "/x", "duration": 0.25}
    assert read_line(json.dumps(line)).stamp == pytest.approx(NOON)


@pytest.mark.parametrize("value", ["NaN", "-1", "Infinity", '"soon"', "true", "[1]"])
def test_a_time_that_is_none_is_not_read(value: str) -> None:
    with pytest.raises(ValueError, match=r"time|could not convert|Invalid isoformat"):
        read_line(f'{{"ts": {value}, "client": "a", "uri": "/x"}}')


PIECES = st.lists(
    st.sampled_from([*HEAD.split(), *HTTPLOG.split(), '"', "[", "]", "{", "0.1,", "-", "|", "\\"]) | st.text()
)


@given(PIECES.map(" ".join))
def test_any_line_is_a_request_or_is_refused(line: str) -> None:
    try:
        entry = read_line(line)
    except ValueError:
        return
    assert entry.path
    assert entry.before >= 0


@pytest.mark.parametrize(
    "part",
    ["a", " ", "0.1 ", '"', "\\", "a=1 ", "[1] ", "1/", "web | ", "2001:", "a, ", '"a" ', "1.111, ", "Z "],
)
def test_long_lines_take_no_more_than_their_length(part: str) -> None:
    """No pattern goes back and forth over a line: ten times the length is not a hundred times the work."""
    line = HEAD + " " + part * (100_000 // len(part))
    for text in (line, part * (50_000 // len(part))):
        with suppress(ValueError):
            read_line(text)


# -- formats that a user gives -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "line", "service", "before"),
    [
        (
            '$time_iso8601|$remote_addr|$request_time|"$request"',
            '2026-11-24T10:00:00+00:00|10.0.0.9|0.250|"GET /x HTTP/1.1"',
            *(0.25, 0.25),
        ),
        (
            "[$msec] ${remote_addr} $host $request_uri $upstream_response_time $request_time",
            "[1795514400.000] 10.0.0.9 www.example.com /x 0.1, 0.25 0.300",
            *(0.25, 0.3),
        ),
        (
            '%{Host}i %h %l %u %t "%r" %>s %b %D "%{User-Agent}i"',
            'www.example.com 10.0.0.9 - - [24/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200 12 250000 "c 1"',
            *(0.25, 0),
        ),
        (
            "%a %t %m %U %!200,304s %{ms}T",
            "10.0.0.9 [24/Nov/2026:10:00:00 +0000] GET /x - 250",
            *(0.25, 0),
        ),
    ],
)
def test_a_format_of_ones_own(tmp_path: Path, form: str, line: str, service: float, before: float) -> None:
    log = read(tmp_path, f"{line}\nsomething else\n", form)
    assert (log.clients, log.paths, log.service) == (["10.0.0.9"], ["/x"], [service])
    assert log.report()[1].endswith("line 2: does not have the format that was given: something else")


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ("$time_local $request", "the client"),
        ("%h %r", "the time"),
        ("nothing at all", "the client and the time and the request"),
    ],
)
def test_a_format_without_what_is_needed(tmp_path: Path, form: str, missing: str) -> None:
    with pytest.raises(ImportFault, match=f"has not {missing}: use"):
        read(tmp_path, HEAD, form)


def test_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(
        ImportFault, match=r"no line is in a format that is known: .* line 1: unknown format: hello"
    ):
        read(tmp_path, "hello\n")
    with pytest.raises(ImportFault, match="the file is empty"):
        read(tmp_path, "\n\n")


# -- played --------------------------------------------------------------------------------------


def test_the_requests_are_played_as_they_came(tmp_path: Path) -> None:
    """Client, time, path and service time: each request of the log is one of the workload."""
    log = read(tmp_path, COMBINED)
    experiment = log.played_on(Experiment(servers(2)))
    requests = workload(experiment)
    assert list(requests.arrival) == log.times
    assert list(requests.client) == [0, 1, 0]
    assert list(requests.path) == [0, 1, 0]
    service = experiment.servers[0].service
    assert [service.quantile(u) for u in requests.demand] == log.service
    assert Experiment.from_toml(experiment.to_toml()) == experiment


def test_servers_get_as_many_workers_as_the_log_has_requests_at_once(tmp_path: Path) -> None:
    """Four requests a second of 2.9 s each: twelve at once, on three servers."""
    lines = [
        json.dumps({"msec": f"{NOON + i / 4 + 2.9:.3f}", "client": "a", "uri": "/", "request_time": 2.9})
        for i in range(400)
    ]
    log = read(tmp_path, "\n".join(lines))
    assert max(concurrency(log.times, log.service)) == 12
    experiment = log.played_on(Experiment([*servers(3), Server("backup", priority=1)]))
    assert {s.workers for s in experiment.servers} == {4}
    assert run(
        experiment.but(policy="least_connections", servers=experiment.servers[:3])
    ).mean == pytest.approx(2.9)
    fixed = log.played_on(Experiment(servers(3)), workers=2)
    assert {s.workers for s in fixed.servers} == {2}
    assert fixed.load == pytest.approx(4 * 2.9 / 6, rel=0.05)  # more than they can do


def test_what_would_least_connections_have_done(tmp_path: Path) -> None:
    """The engineer's question, on a made-up Tuesday: bursts of requests of which some are long."""
    lines = []
    for i in range(2000):
        second, took = i // 40, 0.3 if i % 20 == 0 else 0.02
        end = NOON + second + (i % 40) / 40 + took
        fields = {"remote_addr": f"10.0.0.{i % 50}", "uri": f"/{i % 7}", "request_time": took}
        lines.append(json.dumps({"msec": f"{end:.3f}"} | fields))
    log = read(tmp_path, "\n".join(lines))
    web = Experiment([Server(f"s{i}", service=Exponential()) for i in range(3)])
    tuesday = log.played_on(web, workers=1)
    assert isinstance(tuesday.traffic.arrivals, Trace)
    turn, fewest = compare(tuesday, ["round_robin", "least_connections"])
    assert len(turn) == 2000
    assert sum(turn.service) == pytest.approx(sum(s or 0 for s in log.service))
    assert fewest.mean < 0.7 * turn.mean
    assert run(tuesday).mean == turn.mean


@pytest.mark.parametrize(
    ("line", "server"),
    [
        (f"{HEAD} 0.300 0.250", None),
        (f'{HEAD} 0.300 0.250 "10.0.0.1:8080" -', "10.0.0.1:8080"),
        (f"{HEAD} 0.300 0.1, 0.250 10.0.0.2:8080, 10.0.0.1:8080", "10.0.0.1:8080"),
        (f'{HEAD} rt=0.300 urt="0.250" ua="[fd00::1]:80"', "[fd00::1]:80"),
        (f"{HEAD} 407 0.300 [shop-web-80] [] 10.4.0.7:8080 612 0.250 200 6d6fb2", "10.4.0.7:8080"),
        (HTTPLOG.format("10.0.0.9"), "srv1"),
        (f'{HEAD} 12 "whoami@docker" "http://172.17.0.3:80" 250ms', "172.17.0.3:80"),
        (
            '[2026-11-24T10:00:00.000Z] "GET /x HTTP/2" 200 - 154 0 300 250 "10.0.0.9" "agent" "cc21" "web"'
            ' "10.0.2.1:80"',
            "10.0.2.1:80",
        ),
        # Answered by the proxy itself.
        (f"{HEAD} 0.000 -", ""),
        (f'{HEAD} "0.000" "-"', ""),
        (f'{HEAD} rt=0.000 uct="-" urt="-"', ""),
        (f"{HEAD} 407 0.000 [] [] - - - - 6d6fb2", ""),
        (HTTPLOG.format("10.0.0.9").replace("srv1", "<NOSRV>"), ""),
        (f'{HEAD} 12 "-" "-" 0ms', ""),
        (
            "https 2026-11-24T10:00:00.000000Z app/lb/50dc6c 10.0.0.9:2817 - -1 -1 -1"
            ' 503 - 34 366 "GET /x HTTP/1.1" "curl/7.46.0" - - arn:aws',
            "",
        ),
    ],
)
def test_a_line_may_name_the_server_or_say_that_there_was_none(line: str, server: str | None) -> None:
    assert read_line(line).server == server


def test_json_may_name_the_server() -> None:
    line = {"remote_addr": "10.0.0.9", "msec": NOON, "request_uri": "/x", "request_time": 0.3}
    asked = {**line, "upstream_addr": "10.0.0.1:80", "upstream_response_time": "0.250"}
    assert read_line(json.dumps(asked)).server == "10.0.0.1:80"
    assert read_line(json.dumps({**asked, "upstream_addr": "-", "upstream_response_time": "-"})).server == ""
    assert read_line(json.dumps(line)).server is None


def logged(tmp_path: Path, lines: list[str]) -> Log:
    path = tmp_path / "access.log"
    path.write_text("\n".join(lines) + "\n")
    return read_log(path)


def test_what_no_server_got_is_no_work_for_the_servers(tmp_path: Path) -> None:
    log = logged(tmp_path, [f"{HEAD} 0.300 0.250"] * 3 + [f"{HEAD} 0.000 -"] * 5)
    assert (len(log), log.local) == (3, 5)
    assert "5 requests" in "\n".join(log.report())


def test_a_dash_after_the_only_time_is_something_else(tmp_path: Path) -> None:
    forwarded = [f'{HEAD} 0.300 "{of}"' for of in ("-", "-", "10.0.0.8")]
    assert (len(log := logged(tmp_path, forwarded)), log.local) == (3, 0)


def test_a_log_of_answers_without_servers_is_kept(tmp_path: Path) -> None:
    assert len(logged(tmp_path, [f'{HEAD} rt=0.100 urt="-"'] * 3)) == 3


def test_each_server_has_its_own_times(tmp_path: Path) -> None:
    lines = [f"{HEAD} 0.1{i % 10}0 0.100 10.0.0.1:80" for i in range(100)]
    lines += [f"{HEAD} 0.200 0.200 10.0.0.2:80" for _ in range(100)] + [f"{HEAD} 0.9 0.9 10.0.0.3:80"]
    log = logged(tmp_path, lines)
    named = Experiment([Server("10.0.0.1:80"), Server("b"), Server("10.0.0.3:80")])
    played = log.played_on(named, workers=[2, 3, 1], addresses={"b": "10.0.0.2:80"})
    quick, slow, rare = played.servers
    assert (quick.service.mean, slow.service.mean) == (pytest.approx(0.1), pytest.approx(0.2))
    assert rare.service == log.served()  # too few of its own
    assert [server.workers for server in played.servers] == [2, 3, 1]
    assert "b 200 ms" in log.load_report(played)[0]
    assert all(0 <= u < 1 for u in played.traffic.arrivals.demands)
    other = log.played_on(Experiment([Server("x"), Server("y")]))
    assert "does not name these servers" in log.load_report(other)[0]
    with pytest.raises(ValueError, match="workers has 2 numbers"):
        log.played_on(named, workers=[2, 3])


def test_the_busiest_part_of_a_log(tmp_path: Path) -> None:
    stamps = ["10:00:00", *["13:30:30"] * 4, "13:31:10", "15:00:00"]
    log = logged(tmp_path, [HEAD.replace("10:00:00", stamp) + " 0.010" for stamp in stamps])
    busy = log.busiest(1)
    assert len(busy) == 5
    assert busy.times[0] == 0
    assert busy.times[-1] == pytest.approx(40)
    assert busy.origin - log.origin == pytest.approx(3.5 * 3600 + 30)
    assert "busiest hour: 5 requests" in "\n".join(log.report())
    assert len(log.busiest(600)) == len(log)


def test_many_times_are_their_quantiles_with_the_same_mean() -> None:
    times = [i / 1000 for i in range(1, 20_001)]
    thin = distribution(times)
    assert thin is not None
    assert len(thin.times) == MOST_TIMES
    assert thin.mean == pytest.approx(sum(times) / len(times))
    assert thin.quantile(0.99) == pytest.approx(19.8, rel=1e-3)


def test_a_format_that_a_configuration_names_is_tried_before_the_known_ones(tmp_path: Path) -> None:
    """By their place alone, the two times would be taken for each other."""
    path = tmp_path / "access.log"
    path.write_text(f"{HEAD} 0.250 0.300\n{HEAD} 0.300\n")
    swapped = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"'
    swapped += ' "$http_user_agent" $upstream_response_time $request_time'
    assert read_log(path, likely=swapped).service == [0.25, 0.3]
    assert read_log(path, likely="$status").service == [0.3, 0.3]  # the format of another log
