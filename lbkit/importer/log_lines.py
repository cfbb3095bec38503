"""One line of an access log as a request: client, time, path, and how long it took."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from lbkit.arrivals import LONGEST
from lbkit.importer.line_formats import FORMATS, PREFIX, TRIES

# Names of fields in JSON, the first that is there counts; nginx's usual log_format json, Caddy, Traefik.
CLIENT = (
    *("remote_addr", "client_ip", "remote_ip", "ClientHost", "client", "ip", "remote_host"),
    *("clientip", "remoteAddr", "clientIp"),
)
LOGGED = ("time_iso8601", "msec", "ts", "timestamp", "time", "time_local", "@timestamp")
BEGUN = ("StartUTC", "StartLocal")
REQUEST = ("request_uri", "uri", "RequestPath", "path", "url", "request", "requestURI", "requestUri")
# With seconds a unit: Traefik counts in nanoseconds.
TOOK = {
    **dict.fromkeys(
        ("request_time", "duration", "response_time", "latency", "responsetime", "requestTime"), 1.0
    ),
    "Duration": 1e-9,
}
SERVICE = {
    **dict.fromkeys(("upstream_response_time", "upstream_time", "upstreamtime", "upstreamResponseTime"), 1.0),
    "OriginDuration": 1e-9,
}
SERVER = ("upstream_addr", "upstreamAddr", "upstream_host", "ServiceAddr")
# The same in lines of name=value, as nginx's own examples abbreviate them.
TOOK_NAMES = ("rt", "request_time", "time", "duration")
SERVICE_NAMES = ("urt", "upstream_response_time", "us_rt")

_REQUEST_LINE = re.compile(r"[A-Z][A-Z-]* (?P<path>(?:/|\*|https?://|[\w.-]+:\d).*?)(?: HTTP/\d(?:\.\d)?)?")
_NAMED_VALUE = re.compile(rf'\b(\w{{1,40}})[=:] ?(?:"({TRIES})"|({TRIES})(?=[\s,;]|$))')
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORMATS = (
    *("%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S.%f", "%d/%b/%Y:%H:%M:%S.%f %z", "%d/%b/%Y:%H:%M:%S"),
    *("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S"),
)
# An epoch that is above this many of a unit is counted in it: microseconds, not seconds of the far future.
_LAST_TIME = 1e11  # in the year 5138
_EPOCH_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))


_REFERER_AND_AGENT = re.compile(r'\A "(?![\d.]+")(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"')
# A text in quotes, other than times.
_TEXT = re.compile(r'(?<!\S)"(?!(?:-|[\d.]+(?:, [\d.]+)*)")(?:[^"\\]|\\.)*"')
_DECIMALS = r"(?<![\w.:/-])(\d+\.{digits}(?:(?:, | : )(?:\d+\.\d+|-))*)(?![\w.:/-])"
# nginx writes times with three digits, and $gzip_ratio with two.
_TIMES = [re.compile(_DECIMALS.replace("{digits}", digits)) for digits in (r"\d{3,}", r"\d+")]
_SEPARATOR = re.compile(r", ?| : ")  # between the times of several tries
# An address of a server, which has a port, among what follows a line; those of several tries.
_ADDRESS = r"(?:\d+\.\d+\.\d+\.\d+:\d+|\[[0-9A-Fa-f:.]+\]:\d+|unix:[^\s,\"]+)"
_ADDRESSES = re.compile(rf"(?<![^\s=\"\[])({_ADDRESS}(?:(?:, | : ){_ADDRESS})*)(?![^\s\",;\]])")
_NO_TRY = re.compile(r"\A\"?(?: \"?-\"?)+(?=\s|$)")  # right after $request_time: no upstream was asked
_PORT = re.compile(r"\[?([0-9A-Fa-f:]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+")


class NoRequest(ValueError):
    """A line of a client that did not send HTTP: a scanner's, or of a connection without a request."""


class Entry(NamedTuple):
    """A request in a log."""

    client: str
    path: str
    stamp: float  # the time in the line, in seconds since 1970
    before: float  # seconds from the request's arrival until then
    service: float | None  # seconds; None if the line does not say
    tries: int = 1  # how many backends the proxy tried
    ticks: int | None = None  # Apache's %D or %T at the end of the line, in a unit that it does not say
    by_place: int = 0  # how many times there are without a name, known by their place in the line
    server: str | None = None  # that answered, by name or address; "": the proxy itself; None: not said


def read_line(
    line: str, form: re.Pattern[str] | None = None, likely: Sequence[re.Pattern[str]] = ()
) -> Entry:
    """Return the request of a line in the format `form`; or in a `likely` one, or one that is known.

    Raises NoRequest for a line without an HTTP request, ValueError for an unknown format."""
    line = PREFIX.sub("", line.strip(), count=1)
    if line.startswith("{") and form is None:
        try:
            return _json(json.loads(line))
        except RecursionError:
            raise ValueError("JSON in too many brackets") from None
    for pattern in (form,) if form else (*likely, *FORMATS.values()):
        if found := pattern.match(line):
            return _entry(found.groupdict())
    raise ValueError("unknown format" if form is None else "does not have the format that was given")


def _entry(fields: Mapping[str, str | None]) -> Entry:
    """Return the request of a line's fields, which have the names of `line_formats.py`."""
    rest = _rest(fields.get("more") or "")
    took = rest.took
    for name, unit in (("took", 1.0), ("took_s", 1.0), ("took_ms", 1e-3), ("took_us", 1e-6)):
        if (value := fields.get(name)) not in (None, "-"):
            took = _seconds(value, unit)
    service, tries = _tries(fields.get("service") or rest.tries)
    if tr := fields.get("tr"):
        service = _seconds(tr, 1e-3) if int(tr) >= 0 else None
    if fields.get("redispatched"):
        tries = 2
    if service is None:
        service = took
    stamp = fields.get("begun") or fields.get("logged") or fields.get("stamp")
    # nginx writes the time of the end, Apache and HAProxy of the begin.
    ended = fields.get("begun") is None and not rest.apache
    path = fields.get("path") or _path(fields.get("request") or "")
    before = (took or service or 0.0) if ended else 0.0
    client = _client(fields["client"] or "")
    server = _server(fields.get("backend") or rest.server, fields.get("service") or rest.tries)
    return Entry(client, path, _time(stamp), before, service, tries, rest.ticks, rest.by_place, server)


class _Rest(NamedTuple):
    """The times in what follows a line in combined format."""

    took: float | None = None
    tries: str = ""  # the upstream's times, as in the line
    by_place: int = 0
    ticks: int | None = None
    apache: bool = False
    server: str | None = None


def _rest(text: str) -> _Rest:
    """Return the times in what follows a line in combined format.

    By name (rt=0.1 urt="0.05, 0.1"), or by kind: decimals are nginx's $request_time and then
    $upstream_response_time, whole numbers at the end are Apache's %D, %T, or both."""
    text = _REFERER_AND_AGENT.sub("", text)
    address = _ADDRESSES.search(text)
    server = address[1] if address else None
    took, tries = None, ""
    for name, quoted, plain in _NAMED_VALUE.findall(text):
        value = quoted or plain
        if name in TOOK_NAMES and value != "-":
            took = _seconds(value)
        elif name in SERVICE_NAMES:
            tries = value
    if took is not None or tries:
        return _Rest(took, tries, server=server)
    text = _TEXT.sub(" ", text)
    for pattern in _TIMES:
        if found := pattern.findall(text):
            first = _SEPARATOR.split(found[0])[0]
            none = "-" if _NO_TRY.match(text.partition(found[0])[2]) else ""
            second = found[1] if len(found) > 1 else none
            return _Rest(_seconds(first), second, min(len(found), 2), server=server)
    text = text.replace('"-"', "")
    numbers = [int(n) for n in re.findall(r"\d+", text)] if re.fullmatch(r"[\d\s/*]{1,50}", text) else []
    match numbers:
        case [one]:
            return _Rest(ticks=one, apache=True)
        case [a, b] if min(a, b) == max(a, b) // 1_000_000:  # in seconds, and in microseconds
            return _Rest(max(a, b) / 1_000_000, apache=True)
        case _:
            return _Rest()


def _server(names: str | None, times: str) -> str | None:
    """Return the server that answered, the last of those tried; "" if none was asked, None if it is not said.

    nginx writes "-" for an answer out of its cache or of its own, HAProxy "<NOSRV>"."""
    if not names:
        return "" if times and not times.strip("-,: ") else None
    last = _SEPARATOR.split(names)[-1].removeprefix("tcp://").removeprefix("http://").strip("/")
    return "" if last == "-" or last.startswith("<") else last


def _client(address: str) -> str:
    """Return an address without its port."""
    found = _PORT.fullmatch(address)
    return found[1] or found[2] if found else address


def _tries(text: str) -> tuple[float | None, int]:
    """Return the seconds of the last try that has a time, and how many there were: "0.300, 0.200" are two."""
    values = [value for value in _SEPARATOR.split(text) if value]
    known = [value for value in values if value != "-"]
    return (_seconds(known[-1]) if known else None), max(1, len(values))


def _seconds(value: Any, unit: float = 1.0) -> float:
    """Return a time as seconds: a number of `unit`, or a text such as "1.5ms". Raises ValueError."""
    text = str(value).strip()
    try:
        if parts := re.fullmatch(r"(?:[\d.]+(?:ns|us|µs|ms|s|m|h))+", text):
            seconds = sum(float(n) * _GO_UNITS[u] for n, u in re.findall(r"([\d.]+)([a-zµ]+)", parts[0]))
        else:
            seconds = float(text) * unit
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{text} is no time")
    return seconds


def _path(request: str) -> str:
    """Return the path of a request line. Raises NoRequest for what is none."""
    found = _REQUEST_LINE.fullmatch(request)
    if found is None:
        raise NoRequest(f'"{request[:40]}" is no request')
    return found["path"]


# -- JSON ----------------------------------------------------------------------------------------


def _json(data: Any) -> Entry:
    if not isinstance(data, dict):
        raise ValueError("no JSON object")
    if isinstance(data.get("log"), str):  # Docker's files: the line is in a field
        return read_line(data["log"])
    flat = {**data, **data["request"]} if isinstance(data.get("request"), dict) else data
    request = str(_first(flat, REQUEST))
    path = request if request.startswith(("/", "*", "http")) else _path(request)
    took = _duration(flat, TOOK)
    service, tries = _duration(flat, SERVICE), 1
    for name in SERVICE:
        if isinstance(value := flat.get(name), str) and _SEPARATOR.search(value):
            service, tries = _tries(value)
    if service is None:
        service = took
    begun = next((flat[name] for name in BEGUN if flat.get(name)), None)
    stamp = _time(begun if begun is not None else _first(flat, LOGGED))
    before = 0.0 if begun is not None else took or service or 0.0
    named = next((str(flat[name]) for name in SERVER if flat.get(name)), None)
    asked = next((str(flat[name]) for name in SERVICE if flat.get(name) is not None), "")
    client = _client(str(_first(flat, CLIENT)))
    return Entry(client, path, stamp, before, service, tries, server=_server(named, asked))


def _duration(data: Mapping[str, Any], names: Mapping[str, float]) -> float | None:
    for name, unit in names.items():
        value = data.get(name)
        if value not in (None, "", "-") and not (isinstance(value, str) and _SEPARATOR.search(value)):
            return _seconds(value, unit)
    return None


def _first(data: Mapping[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if data.get(name) not in (None, "", "-"):
            return data[name]
    raise ValueError(f"has none of {', '.join(names)}")


# -- time ----------------------------------------------------------------------------------------


def _time(value: Any) -> float:
    """Return seconds since 1970, from a number of any usual unit or a text. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no time")
    if isinstance(value, str) and not re.fullmatch(r"\d+(\.\d+)?", value):
        return _text_time(value)
    seconds = float(value)
    seconds *= next((unit for above, unit in _EPOCH_UNITS if seconds >= above), 1.0)
    if not 0 <= seconds <= _LAST_TIME:
        raise ValueError(f"{value} is no time")
    return seconds


@lru_cache(maxsize=1024)  # many lines have the same second
def _text_time(text: str) -> float:
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).timestamp()
        except ValueError:
            continue
    return datetime.fromisoformat(text).timestamp()
