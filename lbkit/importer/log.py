"""Access logs as Traffic: clients, times, paths and service times."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import evolve

from lbkit.arrivals import Trace
from lbkit.distributions import Empirical
from lbkit.experiment import Experiment, Traffic
from lbkit.importer.config import ImportFault

# client, time, path, service time in seconds if the log has it
Entry = tuple[str, float, str, float | None]

_REQUEST = r'"(?:[A-Z]+ )?(?P<path>[^" ]*)[^"]*"'
# nginx and Apache: combined, with $request_time (or %D) at the end if they log it.
COMBINED = re.compile(
    rf'(?P<client>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] {_REQUEST} (?P<status>\d+) \S+(?: "[^"]*" "[^"]*")?'
    r"(?:.*?\s(?P<service>\d+\.\d+))?\s*$"
)
# HAProxy's HTTP log: client:port [accepted] frontend backend/server TR/Tw/Tc/Tr/Ta status ...
HAPROXY = re.compile(
    r"(?P<client>[0-9a-fA-F.:]+):\d+ \[(?P<time>[^\]]+)\] \S+ \S+ "
    rf"-?\d+/-?\d+/-?\d+/(?P<tr>-?\d+)/\+?-?\d+ (?P<status>-?\d+) .*?{_REQUEST}\s*$"
)
# JSON: the names in nginx's usual log_format json, in Caddy and others.
CLIENT = ("remote_addr", "client_ip", "remote_ip", "client", "ip", "remote_host")
TIME = ("time_iso8601", "msec", "ts", "timestamp", "time", "time_local", "@timestamp")
PATH = ("request_uri", "uri", "path", "url", "request")
SERVICE = ("upstream_response_time", "request_time", "duration", "response_time", "latency")


@dataclass
class Log:
    """The requests of a log, in order of time."""

    times: list[float] = field(default_factory=list)  # seconds from the first
    clients: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    service: list[float | None] = field(default_factory=list)  # seconds; None if not in the log
    not_understood: list[str] = field(default_factory=list)  # "line 3: ..."

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        return self.times[-1] + 1.0 if self.times else 0.0

    def traffic(self) -> Traffic:
        """Return these requests at these times; clients and paths become numbers."""
        clients, paths = _numbered(self.clients), _numbered(self.paths)
        return Traffic(
            Trace(self.times, clients, paths, self._demands()),
            duration=self.duration,
            clients=max(clients, default=0) + 1,
            paths=max(paths, default=0) + 1,
        )

    def served(self) -> Empirical | None:
        """Return the logged service times as a distribution; None without any."""
        known = [s for s in self.service if s is not None and s > 0]
        return Empirical(known) if known else None

    def _demands(self) -> list[float]:
        """Return the quantile of each request's service time; empty unless all are known."""
        if not self.service or any(s is None or s <= 0 for s in self.service):
            return []
        ranks = sorted(range(len(self.service)), key=lambda i: self.service[i] or 0.0)
        demands = [0.0] * len(ranks)
        for rank, row in enumerate(ranks):
            demands[row] = (rank + 0.5) / len(ranks)
        return demands

    def played_on(self, experiment: Experiment) -> Experiment:
        """Return the experiment with these requests, and their service times if the log has them."""
        served = self.served()
        servers = [evolve(s, service=served) for s in experiment.servers] if served else experiment.servers
        return experiment.but(traffic=self.traffic(), servers=servers)


def read_log(path: str | Path) -> Log:
    """Read an access log: combined (nginx, Apache), JSON lines (nginx, Caddy) or HAProxy's.

    Lines in other formats are listed. Raises ImportFault if all are, OSError."""
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        entries: list[Entry] = []
        rest: list[str] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entries.append(_entry(line))
            except (ValueError, KeyError) as error:
                rest.append(f"line {number}: {error}")
    if not entries:
        raise ImportFault(f"{path}: no line is combined, JSON or HAProxy's format; {'; '.join(rest[:3])}")
    entries.sort(key=lambda entry: entry[1])
    first = entries[0][1]
    log = Log(not_understood=rest)
    for client, time, path_, service in entries:
        log.times.append(time - first)
        log.clients.append(client)
        log.paths.append(path_)
        log.service.append(service)
    _spread(log.times)
    return log


def _entry(line: str) -> Entry:
    """Return the entry of one line. Raises ValueError for an unknown format."""
    line = line.strip()
    if line.startswith("{"):
        return _json(json.loads(line))
    if found := COMBINED.match(line):
        service = found["service"]
        return found["client"], _time(found["time"]), found["path"], float(service) if service else None
    if found := HAPROXY.search(line):
        tr = int(found["tr"])
        return found["client"], _time(found["time"]), found["path"], tr / 1000 if tr > 0 else None
    raise ValueError(f"unknown format: {line[:80]}")


def _json(data: Any) -> Entry:
    if not isinstance(data, dict):
        raise ValueError("no JSON object")
    flat = {**data, **data["request"]} if isinstance(data.get("request"), dict) else data
    client = _first(flat, CLIENT)
    path = str(_first(flat, PATH))
    words = path.split(" ")
    service = next((flat[name] for name in SERVICE if flat.get(name) not in (None, "", "-")), None)
    return (
        str(client),
        _time(_first(flat, TIME)),
        words[1] if len(words) == 3 else path,
        float(str(service).split(",")[-1]) if service is not None else None,
    )


def _first(data: dict[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if data.get(name) not in (None, "", "-"):
            return data[name]
    raise ValueError(f"has none of {', '.join(names)}")


_FORMATS = ("%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S.%f", "%d/%b/%Y:%H:%M:%S")


def _time(value: Any) -> float:
    """Return seconds since 1970. Raises ValueError for an unknown format."""
    if isinstance(value, int | float):
        return float(value)
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    for form in _FORMATS:
        try:
            return datetime.strptime(value, form).timestamp()
        except ValueError:
            continue
    return datetime.fromisoformat(value).timestamp()


def _numbered(names: list[str]) -> list[int]:
    """Return a number for each name: 0 for the first, and so on."""
    known: dict[str, int] = {}
    return [known.setdefault(name, len(known)) for name in names]


def _spread(times: list[float]) -> None:
    """Spread times in whole seconds, which many logs have, evenly over their second; in place."""
    if any(t != int(t) for t in times):
        return
    start = 0
    for end in _ends(times):
        for i in range(start, end):
            times[i] += (i - start) / (end - start)
        start = end


def _ends(times: list[float]) -> Iterator[int]:
    """Yield the end of each run of equal times."""
    for i in range(1, len(times) + 1):
        if i == len(times) or times[i] != times[i - 1]:
            yield i
