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
from lbkit.core.vectors import COMPILED, append, column_of, floats, packed, vec, wholes
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

    def __init__(self, traffic: Workload, kinds: Kinds) -> None:
        self.kinds = kinds
        self.traffic = traffic
        rows = len(traffic)
        self.arrival, self.client, self.path = traffic.arrival, traffic.client, traffic.path
        self.demand = traffic.demand  # quantile of the service time
        self._luck = column_of(())
        self._lucky = False  # whether that column has been drawn
        self.start = floats(rows, NAN)
        self.end = floats(rows, NAN)
        self.service = floats(rows, 0.0)
        self.attempts = wholes(rows, 1)
        self.backend = wholes(rows, -1)
        self.status = wholes(rows, 0)
        self.lease: list[Backend] = [NOT_PICKED] * rows  # the balancer's own object for what it picked
        self.since = floats(rows, NAN)  # when it did
        self.session: array[int] | None = None  # only traffic of sessions has this column
        self.rule: array[int] | None = None  # by which its pool was chosen; only with `routing`
        self.cache: array[int] | None = None  # only an experiment with a cache has this column
        self.firewall: array[int] | None = None  # only an experiment with a firewall has these two
        self.score: array[int] | None = None
        # Row of an attempt -> row of its request, where attempts have rows of their own.
        self.copy_of: dict[int, int] = {}

    @property
    def luck(self) -> vec[float]:
        """The luck of each request: it fails at servers whose error rate is above it. Drawn on first use."""
        if not self._lucky:
            self._luck, self._lucky = self.traffic.luck, True
        return self._luck

    def add(self, arrival: float, client: int, path: int, demand: float, luck: float) -> int:
        """Add a request and return its row."""
        row = len(self.arrival)
        self.arrival = append(self.arrival, arrival)
        self.client = append(self.client, client)
        self.path = append(self.path, path)
        self.demand = append(self.demand, demand)
        self._luck = append(self.luck, luck)
        self.start = append(self.start, NAN)
        self.end = append(self.end, NAN)
        self.service = append(self.service, 0.0)
        self.backend = append(self.backend, -1)
        self.status = append(self.status, 0)
        self.attempts = append(self.attempts, 1)
        self.lease.append(NOT_PICKED)
        self.since = append(self.since, NAN)
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
            name: packed(code, getattr(self, name)) for name, code in COLUMNS.items()
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
            clients: Any = _Column(self, "client") if COMPILED else self.client
            return clients, [client_name(i) for i in range(traffic.clients)]
        paths: Any = _Column(self, "path") if COMPILED else self.path
        return paths, [path_name(i) for i in range(traffic.paths)]


class _Column(Sequence[int]):
    """A view of a column by its name, as a column that grows may become another object."""

    def __init__(self, requests: Requests, name: str) -> None:
        self.requests = requests
        self.name = name

    def __getitem__(self, row: int) -> int:  # type: ignore[override]
        number: int = getattr(self.requests, self.name)[row]
        return number

    def __len__(self) -> int:
        return len(self.requests.arrival)


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
