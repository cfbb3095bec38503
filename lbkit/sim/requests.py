"""The requests of a run in columns: a request is known by its row."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import compress
from math import isnan
from sys import maxsize
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core import Backend
from lbkit.core.key import Key, about_client, key_of
from lbkit.experiment import Traffic
from lbkit.result import COLUMNS, OPTIONAL
from lbkit.workload import Kinds, SimRequest, Workload, client_name, path_name

FLOWS = 50_000  # connections that are distinguished: a client has about this many ports
NAN = float("nan")
NOT_PICKED = Backend("none")  # holds the place in `lease` until a backend is picked


@mypyc_attr(allow_interpreted_subclasses=True)
class Requests:
    """The columns of all requests: what each carries, and its outcome.

    `lbkit.result.COLUMNS` says what the columns of a Result mean. While a request is under way, `backend`
    is the index of the server that has it; `start` and `service` are about that server.
    """

    __slots__ = (
        *(*COLUMNS, "cache", "copy_of", "demand", "firewall", "kinds"),
        *("lease", "luck", "rule", "score", "session", "since"),
    )

    def __init__(self, traffic: Workload, kinds: Kinds) -> None:
        self.kinds = kinds
        rows = len(traffic)
        self.arrival, self.client, self.path = traffic.arrival, traffic.client, traffic.path
        self.demand = traffic.demand  # quantile of the service time
        self.luck = traffic.luck  # below a server's error rate, the request fails there
        self.start = array("d", [NAN]) * rows
        self.end = array("d", [NAN]) * rows
        self.service = array("d", [0.0]) * rows
        self.attempts = array("i", [1]) * rows
        # A list is read and written faster than an array, and needs no new object for a small whole number.
        self.backend = [-1] * rows
        self.status = [0] * rows
        self.lease = [NOT_PICKED] * rows  # the balancer's own object for the backend that it picked
        self.since = array("d", [NAN]) * rows  # when it did
        self.session: array[int] | None = None  # only traffic of sessions has this column
        self.rule: array[int] | None = None  # by which its pool was chosen; only with `routing`
        self.cache: array[int] | None = None  # only an experiment with a cache has this column
        self.firewall: array[int] | None = None  # only an experiment with a firewall has these two
        self.score: array[int] | None = None
        # Row of an attempt -> row of its request, where attempts have rows of their own.
        self.copy_of: dict[int, int] = {}

    def add(self, arrival: float, client: int, path: int, demand: float, luck: float) -> int:
        """Add a request and return its row."""
        row = len(self.arrival)
        self.arrival.append(arrival)
        self.client.append(client)
        self.path.append(path)
        self.demand.append(demand)
        self.luck.append(luck)
        self.start.append(NAN)
        self.end.append(NAN)
        self.service.append(0.0)
        self.backend.append(-1)
        self.status.append(0)
        self.attempts.append(1)
        self.lease.append(NOT_PICKED)
        self.since.append(NAN)
        if self.rule is not None:
            self.rule.append(-1)
        for column in (self.cache, self.firewall, self.score):
            if column is not None:
                column.append(0)
        return row

    def copy(self, row: int) -> int:
        """Add a row for an attempt of a request, and return it; it is in no Result."""
        added = self.add(
            self.arrival[row], self.client[row], self.path[row], self.demand[row], self.luck[row]
        )
        self.copy_of[added] = row
        if self.session is not None:
            self.session.append(self.session[row])
        return added

    def abandon(self, now: float) -> None:
        """End the requests that have no answer: their clients leave now."""
        for row, end in enumerate(self.end):
            if isnan(end):
                self.start[row], self.end[row], self.service[row] = NAN, now, 0.0
                self.backend[row], self.status[row] = -1, 0

    def columns(self) -> dict[str, array[Any]]:
        """Return the columns of a Result."""
        columns: dict[str, array[Any]] = {
            name: array(code, getattr(self, name)) for name, code in COLUMNS.items()
        }
        for name in OPTIONAL:
            if (column := getattr(self, name)) is not None:
                columns[name] = array("i", column)
        return columns

    @property
    def kind(self) -> array[int] | None:
        """The number of each request's kind; only traffic with a mix has this column."""
        return array("i", map(self.kinds.number, self.demand)) if self.kinds.mixed else None

    def without_copies(self, columns: dict[str, array[Any]]) -> dict[str, array[Any]]:
        """Return columns of all rows without those of attempts."""
        if not self.copy_of or len(columns["arrival"]) != len(self.arrival):
            return columns
        wanted = [row not in self.copy_of for row in range(len(self.arrival))]
        return {name: array(c.typecode, compress(c, wanted)) for name, c in columns.items()}

    def method(self, row: int) -> bytes:
        return self.kinds.of(self.demand[row]).method.encode()

    def view(self, row: int) -> SimRequest:
        """Return a request as rules and limits see it."""
        return self.sample(self.kinds.number(self.demand[row]), self.client[row], self.path[row], row)

    def sample(self, number: int, client: int, path: int, row: int = 0) -> SimRequest:
        """Return a request of kind `number` for a path."""
        kind = self.kinds.kinds[number]
        return SimRequest(client_name(client), kind.target(path).encode(), f"tcp {row}", kind)

    def keys(self, spec: str, traffic: Traffic) -> tuple[Sequence[int], Sequence[str]]:
        """Return the keys for a policy's `keyed_by`: a number for each row, and the keys by number."""
        if spec == "flow":  # each request has a connection of its own
            return _Flows(), [f"tcp {i}" for i in range(FLOWS)]
        if traffic.mix:
            return _Rows(), _Keys(self, key_of(spec))
        if about_client(spec):
            return self.client, [client_name(i) for i in range(traffic.clients)]
        return self.path, [path_name(i) for i in range(traffic.paths)]


class _Rows(Sequence[int]):
    """Each row's number is the row itself."""

    def __getitem__(self, row: int) -> int:  # type: ignore[override]
        return row

    def __len__(self) -> int:
        return maxsize


class _Keys(Sequence[str]):
    """The key of each row, read from the request as the proxy does."""

    def __init__(self, requests: Requests, key: Key) -> None:
        self.requests = requests
        self.key = key

    def __getitem__(self, row: int) -> str:  # type: ignore[override]
        return self.key(self.requests.view(row))

    def __len__(self) -> int:
        return len(self.requests.arrival)


class _Flows(Sequence[int]):
    """A number for each row; FLOWS of them are different."""

    def __getitem__(self, row: int) -> int:  # type: ignore[override]
        return row % FLOWS

    def __len__(self) -> int:
        return FLOWS
