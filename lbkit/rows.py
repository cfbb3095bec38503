"""Rows of measures: what a sweep returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lbkit.core.text import did_you_mean
from lbkit.stats import Interval, interval
from lbkit.table import html

Row = Mapping[str, Any]


class Table(Sequence[Row]):
    """A row for each experiment: first the values that were varied, then the measures.

    `varied`: the names of the values. `total`: how many rows there would be if all had been finished."""

    def __init__(self, rows: Iterable[Row], varied: Iterable[str] = (), total: int | None = None) -> None:
        self.rows = [dict(row) for row in rows]
        self.varied = tuple(varied)
        self.total = len(self.rows) if total is None else total

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def complete(self) -> bool:
        """Whether every row is there: not after an interrupt."""
        return len(self.rows) == self.total

    def column(self, name: str) -> list[Any]:
        """Return one column. Raises KeyError for an unknown one, which names those there are."""
        self._known(name)
        return [row[name] for row in self.rows]

    def where(self, **values: Any) -> Table:
        """Return the rows with these values. Raises KeyError for an unknown name."""
        self._known(*values)
        return self._with(row for row in self.rows if all(row[name] == v for name, v in values.items()))

    # -- several seeds ----------------------------------------------------------------------

    def means(self, over: str = "seed", confidence: float = 0.95) -> Table:
        """Return a row for each combination of the other values; its measures are Intervals.

        Raises ValueError if `over` was not varied."""
        self._check(over)
        names = tuple(name for name in self.varied if name != over)
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(tuple(row[name] for name in names), []).append(row)
        return Table(
            (
                dict(zip(names, values, strict=True))
                | {m: interval((row[m] for row in rows), confidence) for m in self._measures(rows[0])}
                for values, rows in groups.items()
            ),
            names,
        )

    def minus(self, **baseline: Any) -> Table:
        """Return paired differences: each row minus the row that differs from it in `baseline` alone.

        As in `table.minus(policy="random").means()`: both rows of a pair come from the same seed, and so from
        the same requests, and what all requests share cancels out. Raises ValueError for a value that was not
        varied."""
        self._check(*baseline)
        rest = [name for name in self.varied if name not in baseline]

        def pair(row: Row) -> tuple[Any, ...]:
            return tuple(row[name] for name in rest)

        base = {pair(row): row for row in self.where(**baseline)}
        if not base:
            raise ValueError(f"there is no row with {baseline}")
        return self._with(
            row | {name: row[name] - base[pair(row)][name] for name in self._measures(row)}
            for row in self.rows
            if pair(row) in base and any(row[name] != value for name, value in baseline.items())
        )

    def _measures(self, row: Row) -> list[str]:
        return [name for name in row if name not in self.varied]

    def _check(self, *names: str) -> None:
        for name in names:
            if name not in self.varied:
                known = ", ".join(self.varied) or "no values"
                raise ValueError(f"{name!r} was not varied: there are {known}")

    def _known(self, *names: str) -> None:
        columns = list(self.rows[0]) if self.rows else list(self.varied)
        for name in names:
            if self.rows and name not in columns:
                near = did_you_mean(str(name), columns)
                raise KeyError(f"no column {name!r}: there are {', '.join(columns)}{near}")

    def _with(self, rows: Iterable[Row]) -> Table:
        return Table(rows, self.varied)

    # -- for others -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns, as pandas, pyarrow and polars take them."""
        return {name: self.column(name) for name in self.rows[0]} if self.rows else {}

    def to_pandas(self) -> Any:
        """Return a DataFrame. Raises ImportError without pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __repr__(self) -> str:
        head, body = self._cells()
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = ("  ".join(map(str.rjust, row, widths)) for row in (head, *body))
        return "\n".join([*lines, *self._missing()])

    def _repr_html_(self) -> str:
        head, body = self._cells()
        return html(head, body, texts=self.varied, notes=self._missing())

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        names = list(self.rows[0]) if self.rows else []
        return names, [[shown(row[name]) for name in names] for row in self.rows]

    def _missing(self) -> list[str]:
        return [] if self.complete else [f"interrupted: {len(self)} of {self.total} rows"]


def shown(value: Any) -> str:
    """Return a value as a table shows it."""
    return f"{value:.4g}" if isinstance(value, float | Interval) else str(value)
