"""Access logs as Traffic: clients, times, paths and service times."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import IO, Any

from lbkit.arrivals import LONGEST, Trace
from lbkit.distributions import Empirical
from lbkit.experiment import Experiment, Traffic
from lbkit.importer.found import ImportFault, Unread, counted
from lbkit.importer.line_formats import compiled
from lbkit.importer.log_lines import Entry, NoRequest, read_line
from lbkit.importer.log_servers import (
    by_server,
    changed,
    distribution,
    needed_workers,
    quantiles,
    with_workers,
)

_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
HOUR = 3600
MOST_NAMED = 8  # servers in a line of a report
FIRST = 3  # unread lines that a report shows


@dataclass
class Log:
    """The requests of a log, in order of their arrival."""

    name: str = "log"
    lines: int = 0  # with text, in the file
    times: list[float] = field(default_factory=list)  # seconds from the first
    clients: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    service: list[float | None] = field(default_factory=list)  # seconds; None if not in the log
    tries: list[int] = field(default_factory=list)  # backends tried
    servers: list[str] = field(default_factory=list)  # that answered; "" if the log does not say
    origin: float = 0.0  # when the first request came, in seconds since 1970
    local: int = 0  # requests that no server got: answers of the proxy's cache, redirects, refusals
    unread: list[Unread] = field(default_factory=list)
    no_requests: list[Unread] = field(default_factory=list)  # of clients that did not send HTTP
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds from the first request to a second after the last."""
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
        """Return the logged service times as a distribution; None without any.

        A log's 0 is a short time, not a missing one: it counts as a microsecond."""
        return distribution(self.service)

    def busiest(self, minutes: float) -> Log:
        """Return the part of the log with the most requests in so many minutes, or all if it is shorter.

        Servers are bought for this part: in a whole day, quiet nights hide it."""
        span = 60 * minutes
        ends = [bisect_left(self.times, time + span) for time in self.times]
        start = max(range(len(self)), key=lambda i: ends[i] - i, default=0)
        rows = slice(start, ends[start] if ends else 0)
        begin = self.times[start] if self.times else 0.0
        part = {
            name: getattr(self, name)[rows] for name in ("clients", "paths", "service", "tries", "servers")
        }
        times = [time - begin for time in self.times[rows]]
        return replace(self, times=times, origin=self.origin + begin, **part)

    def played_on(
        self,
        experiment: Experiment,
        workers: int | Sequence[int] | None = None,
        addresses: Mapping[str, str] | None = None,
    ) -> Experiment:
        """Return the experiment with these requests, and their service times if the log has them.

        If the log says which server answered, each server has its own times. `workers` of each server: one
        number for all, or one each; by default, as many as the log's concurrency needs. `addresses` of the
        servers, by name, if they are not called so in the log.

        Raises ValueError for a number of workers that is not one of these."""
        leaves = experiment.leaves
        played = experiment.but(traffic=self.traffic())
        if self.served():
            times = by_server(self, [server.name for server in leaves], addresses or {})
            played = played.but(
                servers=changed(played.servers, {n: {"service": t} for n, t in times.items()})
            )
            active = sum(s.weight > 0 and s.priority == 0 for s in leaves) or 1
            workers = workers or needed_workers(self.times, self.service, active)
        return with_workers(played, workers) if workers else played

    def report(self) -> list[str]:
        """Return lines for a reader: how much was read first, then what was not."""
        span = self.times[-1] if self.times else 0.0
        lines = [
            f"{self.name}: {self.lines - len(self.unread):,} of {counted(self.lines, 'line')} read,"
            f" {counted(len(self), 'request')} in {_span(span)}"
        ]
        lines += [f"  not read: {one}" for one in self.unread[:FIRST]]
        if len(self.unread) > FIRST:
            lines.append(f"  and {len(self.unread) - FIRST} more")
        if self.no_requests:
            number = counted(len(self.no_requests), "line")
            lines.append(
                f"  left out, as the client did not send HTTP: {number}, first {self.no_requests[0]}"
            )
        if self.local:
            lines.append(
                f"  left out, as the log names no server for them (a cache, a redirect, a refusal):"
                f" {counted(self.local, 'request')}"
            )
        retried = sum(tries > 1 for tries in self.tries)
        if retried:
            lines.append(f"  tried at more than one backend: {counted(retried, 'request')}")
        if span > 2 * HOUR:
            hour = self.busiest(HOUR / 60)
            at = f"{datetime.fromtimestamp(hour.origin, UTC):%Y-%m-%d %H:%M}"
            times = len(hour) / len(self) * span / HOUR
            lines.append(
                f"  busiest hour: {counted(len(hour), 'request')}, {times:.1f} times the mean, from {at} UTC"
                " (--busiest 60 takes it alone)"
            )
        return lines + [f"  note: {note}" for note in self.notes]

    def load_report(self, experiment: Experiment) -> list[str]:
        """Return lines about the load of these requests on the servers of `experiment`."""
        if not self.served():
            return [
                "the log has no request times: service times are the default ones, and so is the load; add"
                " $upstream_response_time and $upstream_addr (nginx) or %D (Apache) to its format"
            ]
        lines = []
        own = {server.service for server in experiment.leaves}
        if len(own) > 1:
            means = [f"{s.name} {s.service.mean * 1000:.0f} ms" for s in experiment.leaves[:MOST_NAMED]]
            lines.append(f"each server has its own times of the log: {', '.join(means)} on average")
        elif len(experiment.leaves) > 1:
            lines.append("note: all servers have the same times: the log does not name these servers")
        counts = [server.workers for server in experiment.leaves]
        workers = ", ".join(map(str, counts)) if len(set(counts)) > 1 else str(counts[0])
        noun = "worker" if workers == "1" else "workers"
        load = experiment.load or 0
        lines.append(f"load {load:.2f} with {workers} {noun} per server (--workers sets it)")
        if load >= 1:
            lines[-1] += (
                ": this is more work than the servers can do, so queues grow until the log ends, and most"
                " of each latency is waiting"
            )
        return lines

    def _demands(self) -> list[float]:
        """Return the quantile of each request's service time; empty unless all are known."""
        if not self.service or any(s is None for s in self.service):
            return []
        return quantiles([s or 0.0 for s in self.service], self.servers)


def read_log(path: str | Path, form: str | None = None, likely: str = "") -> Log:
    """Read an access log, line by line, in any mixture of the formats that are known.

    Known are common, combined and vhost_combined with request times in any of the usual ways (nginx, Apache),
    ingress-nginx's, HAProxy's httplog, httpslog and CLF, Traefik's CLF, those of Envoy and AWS ALB, and JSON
    lines (nginx, Caddy, Traefik), also behind the prefixes of syslog, Docker and Kubernetes. The file may be
    compressed with gzip, bzip2 or xz. `form`: nginx's log_format or Apache's LogFormat, for everything else;
    `likely`: one that a configuration names, which is tried first. Lines in other formats are listed. Raises
    ImportFault if all are, or if `form` does not have what an experiment needs; OSError."""
    path = Path(path)
    try:
        pattern = compiled(form) if form else None
    except ValueError as error:
        raise ImportFault(str(error)) from None
    tried: list[re.Pattern[str]] = []
    if likely and not form:
        with suppress(ValueError):  # without a client, say: it may be the format of another log
            tried.append(compiled(likely))
    log = Log(path.name)
    entries: list[Entry] = []
    with _opened(path) as lines:
        for number, line in enumerate(_complete(lines, log), 1):
            if not line.strip():
                continue
            log.lines += 1
            try:
                entries.append(read_line(line, pattern, tried))
            except NoRequest as error:
                log.no_requests.append(Unread(path.name, number, str(error)))
            except (ValueError, OverflowError) as error:
                log.unread.append(Unread(path.name, number, f"{error}: {line.strip()[:80]}"))
    if not entries:
        raise ImportFault(
            f"{path}: no line is in a format that is known: give its log_format or LogFormat with --format; "
            + ("; ".join(map(str, (log.unread or log.no_requests)[:FIRST])) or "the file is empty")
        )
    _fill(log, entries)
    return log


def _opened(path: Path) -> IO[str]:
    """Open a text file, also one that logrotate has compressed."""
    with path.open("rb") as file:
        start = file.read(6)
    opened = next((opener for magic, opener in _COMPRESSED.items() if start.startswith(magic)), open)
    stream: IO[str] = opened(path, "rt", encoding="utf-8-sig", errors="replace")
    return stream


def _complete(lines: IO[str], log: Log) -> Iterator[str]:
    """Yield the lines, as far as a compressed file can be read."""
    try:
        yield from lines
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        log.notes.append(f"the compressed file is damaged: nothing after that place has been read ({error})")


def _span(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:.1f} s"


def _fill(log: Log, entries: list[Entry]) -> None:
    """Put the requests into columns, in order of their arrival."""
    unit = _unit(entries, log)
    # Without a name, one "-" means no upstream only where others have an upstream's time in its place.
    placed = any(entry.by_place > 1 for entry in entries)
    asked = [entry for entry in entries if entry.server != "" or (entry.by_place and not placed)]
    if asked:
        log.local, entries = len(entries) - len(asked), asked
    if any(entry.by_place for entry in entries):
        log.notes.append(
            "of the numbers with decimals after a line, the first is read as its request time, the second as"
            " its upstream's; --format says otherwise"
        )
    entries.sort(key=lambda entry: entry.stamp)
    _check_span(entries, log)
    origin = int(entries[0].stamp)  # of small numbers a float keeps more digits
    stamps = [entry.stamp - origin for entry in entries]
    _spread(stamps)
    rows = sorted(
        (stamp - entry.before, i) for i, (stamp, entry) in enumerate(zip(stamps, entries, strict=True))
    )
    first = rows[0][0]
    log.origin = origin + first
    for arrival, i in rows:
        entry = entries[i]
        log.times.append(arrival - first)
        log.clients.append(entry.client)
        log.paths.append(entry.path)
        log.service.append(entry.service if entry.ticks is None else entry.ticks * unit)
        log.tries.append(entry.tries)
        log.servers.append(entry.server or "")


def _check_span(entries: list[Entry], log: Log) -> None:
    """Raise ImportFault for a log that is longer than an experiment may be, as by a clock that was wrong."""
    if entries[-1].stamp - entries[0].stamp < LONGEST - 1:
        return
    dates = [f"{datetime.fromtimestamp(entries[i].stamp, UTC):%Y-%m-%d}" for i in (0, 1, -2, -1)]
    raise ImportFault(
        f"{log.name}: its requests are from {dates[0]} (the next of {dates[1]}) to {dates[3]} (the one before"
        f" of {dates[2]}): an experiment lasts {LONGEST / 86_400:.0f} days at most, so give a part of the log"
    )


def _unit(entries: list[Entry], log: Log) -> float:
    """Return the seconds in a whole number at the end of a line: %D is in microseconds, %T in seconds.

    No server takes 20 seconds for half of its requests, or 1000 for one."""
    ticks = [entry.ticks for entry in entries if entry.ticks is not None]
    if not ticks:
        return 1.0
    small = max(ticks) < 1000 and median(ticks) < 20
    unit, name = (1.0, "seconds (%T)") if small else (1e-6, "microseconds (%D)")
    log.notes.append(
        f"the number at the end of lines, {median(ticks):,.0f} in the middle, is read as {name};"
        " --format says otherwise"
    )
    return unit


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
