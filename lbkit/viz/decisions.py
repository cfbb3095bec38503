"""Figures of the decisions of an algorithm: its ring, its table, the scores that it compares at each pick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import cos, pi, sin
from typing import Any

from lbkit.core import Pool
from lbkit.core.balance import ConsistentHash, Maglev
from lbkit.core.hashing import hash64
from lbkit.viz.drawing import HIDDEN, Figure, Trace, figure
from lbkit.viz.style import INK, LEGEND, SERVERS, SYMBOLS, axis, server_look, title

WIDE = 40  # slots in a row of the picture of a table


def ring(pool: Pool, keys: Iterable[str] = ()) -> Figure:
    """Return the hash ring of a pool: the owner of each arc, and the positions of `keys`.

    A key belongs to the next point clockwise. Raises TypeError for another algorithm."""
    balancer = pool.balancer
    if not isinstance(balancer, ConsistentHash):
        raise TypeError(f"{balancer.name} has no ring: use consistent_hash or bounded_hash")
    points = balancer.positions()
    # An arc ends at its owner's point and begins at the point before.
    arcs = [
        (before[0] - (i == 0), here[0], here[1])
        for i, (before, here) in enumerate(zip([points[-1], *points], points, strict=False))
    ]
    traces: list[Trace] = []
    owned: dict[str, float] = {}
    for number, backend in enumerate(pool.backends):
        again = number // len(SERVERS)
        radius = 1 + 0.1 * again  # the same colour again is further out, and thinner
        x: list[float | None] = []
        y: list[float | None] = []
        for start, end, name in arcs:
            if name == backend.name:
                # Enough corners for the arc to look round.
                corners = max(2, int((end - start) * 720))
                turns = [start + (end - start) * i / (corners - 1) for i in range(corners)]
                x += [*(_at(radius * sin(2 * pi * turn)) for turn in turns), None]
                y += [*(_at(radius * cos(2 * pi * turn)) for turn in turns), None]
        owned[backend.name] = sum(end - start for start, end, name in arcs if name == backend.name)
        hover = f"{backend.name}: {owned[backend.name]:.1%} of the ring<extra></extra>"
        line = {"color": server_look(number).colour, "width": 14 - 3 * again}
        traces.append(_scatter(backend.name, x, y, mode="lines", line=line, hovertemplate=hover))
    placed = [(key, (hash64(key) >> 32) / 2**32) for key in keys]
    owners: list[str] = []
    if placed:
        owners = [next(balancer.clockwise(key)).name for key, _ in placed]  # a pick would change the counts
        number_of = {b.name: i for i, b in enumerate(pool.backends)}
        traces.append(
            _scatter(
                "keys",
                [_at(0.86 * sin(2 * pi * at)) for _, at in placed],
                [_at(0.86 * cos(2 * pi * at)) for _, at in placed],
                mode="markers+text",
                marker={"color": [server_look(number_of[o]).colour for o in owners], "size": 9},
                text=[key for key, _ in placed] if len(placed) <= 12 else None,
                textfont={"color": INK, "size": 10},
                textposition=["middle left" if at < 0.5 else "middle right" for _, at in placed],
                hovertext=[f"{key} → {owner}" for (key, _), owner in zip(placed, owners, strict=True)],
                hovertemplate="%{hovertext}<extra></extra>",
                showlegend=False,
            )
        )
    edge = 1.1 + 0.1 * ((len(pool.backends) - 1) // len(SERVERS))
    square = {**HIDDEN, "range": [-edge, edge]}
    return figure(
        f"{title(balancer.name)}, {len(points)} points: {_most_and_least(owned)} of the ring",
        traces,
        meta={"alt": f"The ring: {_shares(owned)}{_of_keys(placed, owners)}"},
        xaxis=square,
        yaxis={**square, "scaleanchor": "x"},
        height=420,
        legend=LEGEND | {"itemsizing": "trace"},
    )


def table(pool: Pool) -> Figure:
    """Return Maglev's table, slots coloured by backend. Raises TypeError for another algorithm."""
    balancer = pool.balancer
    if not isinstance(balancer, Maglev):
        raise TypeError(f"{balancer.name} has no table: use maglev")
    slots = balancer.table()
    names = [b.name for b in pool.backends]
    traces: list[Trace] = []
    owned_share = {name: slots.count(name) / len(slots) for name in names}
    for number, name in enumerate(names):
        owned = [i for i, owner in enumerate(slots) if owner == name]
        traces.append(
            _scatter(
                name,
                [i % WIDE for i in owned],
                [i // WIDE for i in owned],
                mode="markers",
                marker=_square(number, 11),
                text=owned,
                hovertemplate=f"slot %{{text}}: {name}<extra></extra>",
            )
        )
    rows = -(-len(slots) // WIDE)
    return figure(
        f"{title(balancer.name)}, {len(slots)} slots: {_most_and_least(owned_share)} of them",
        traces,
        meta={"alt": f"The table: {_shares(owned_share)}"},
        xaxis=HIDDEN,
        yaxis={**HIDDEN, "autorange": "reversed"},
        height=140 + 15 * rows,
    )


def scores(pool: Pool, keys: Sequence[str], hold: int | None = None) -> Figure:
    """Return the scores compared at each pick, with the winner marked. Takes a lease for each key from
    `pool`.

    `hold`: leases in flight at a time, the oldest is released first; None: none is released."""
    leases = []
    rows = []
    for i, key in enumerate(keys):
        lease = pool.acquire(key, float(i), explain=True)
        assert lease.why
        rows.append((lease.backend.name, lease.why))
        leases.append(lease)
        if hold is not None and len(leases) > hold:
            leases.pop(0).release(True, i + 0.5)
    names = [b.name for b in pool.backends]
    values = [[why.scores.get(name) for _, why in rows] for name in names]
    if not any(value is not None for row in values for value in row):
        raise TypeError(f"{pool.balancer.name} compares no scores")
    picks = list(range(1, len(rows) + 1))
    first = rows[0][1]
    heat = {
        "type": "heatmap",
        "z": values,
        "x": picks,
        "y": names,
        "xgap": 3,
        "ygap": 3,
        "colorscale": [[0, "rgba(128,136,146,0.05)"], [1, "rgba(128,136,146,0.5)"]],
        "showscale": False,
        "texttemplate": "%{z:.3~g}",
        "textfont": {"color": INK},
        "hovertemplate": "pick %{x}, %{y}: %{z:.4~g}<extra></extra>",
    }
    chosen = _scatter(
        "picked",
        picks,
        [name for name, _ in rows],
        mode="markers",
        marker={"symbol": "square-open", "size": 26, "color": INK, "line": {"width": 3}},
        hovertext=[f"{name}: {why}" for name, why in rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    better = f", {first.best} wins" if first.best else ""
    return figure(
        f"{title(pool.balancer.name)}: {first.rule}{better}",
        [heat, chosen],
        xaxis=axis("pick", dtick=1 if len(picks) <= 30 else None),
        yaxis=axis("", autorange="reversed"),
        height=150 + 42 * len(names),
        showlegend=False,
    )


def orders(turns: dict[str, Iterable[str]]) -> Figure:
    """Return the backend of each request, in order. `turns`: name of an algorithm -> names of backends."""
    rows = {name: list(order) for name, order in turns.items()}
    backends = sorted({b for order in rows.values() for b in order})
    traces = [
        _scatter(
            backend,
            [i + 1 for order in rows.values() for i, b in enumerate(order) if b == backend],
            [title(name) for name, order in rows.items() for b in order if b == backend],
            mode="markers",
            marker=_square(number, 13),
            hovertemplate=f"%{{x}}: {backend}<extra></extra>",
        )
        for number, backend in enumerate(backends)
    ]
    found = two_ends({title(name): runs(order) for name, order in rows.items()})
    return figure(
        f"The longest run of requests to one backend: {found}",
        traces,
        meta={"alt": "; ".join(f"{title(name)}: {' '.join(order[:WIDE])}" for name, order in rows.items())},
        xaxis=axis("request"),
        yaxis=axis("", autorange="reversed", type="category"),
        height=130 + 32 * len(rows),
    )


def two_ends(longest: Mapping[str, int]) -> str:
    """Return the smallest and the largest value with their names, or the only one: "3 (a) to 6 (b)"."""
    least, most = min(longest, key=longest.__getitem__), max(longest, key=longest.__getitem__)
    if longest[least] == longest[most]:
        return f"{longest[most]}"
    return f"{longest[least]} ({least}) to {longest[most]} ({most})"


def runs(order: Iterable[str]) -> int:
    """Return the length of the longest run of turns of one backend."""
    return max((len(list(group)) for _, group in groupby(order)), default=0)


def _square(number: int, size: int) -> dict[str, Any]:
    """Return the marker of server `number`: a square, and other symbols where the colour comes again."""
    symbol = (SYMBOLS[1], SYMBOLS[0], *SYMBOLS[2:])[number // len(SERVERS) % len(SYMBOLS)]
    return {"symbol": symbol, "size": size, "color": server_look(number).colour}


def _most_and_least(owned: Mapping[str, float]) -> str:
    """Return the two ends of the shares in words: "b has 41 %, c 22 %"."""
    most, least = max(owned, key=owned.__getitem__), min(owned, key=owned.__getitem__)
    return f"{most} has {owned[most]:.1%}" + (f", {least} {owned[least]:.1%}" if least != most else "")


def _shares(owned: Mapping[str, float]) -> str:
    """Return all shares in words."""
    return ", ".join(f"{name} has {share:.1%}" for name, share in owned.items())


def _of_keys(placed: Sequence[tuple[str, float]], owners: Sequence[str]) -> str:
    """Return the owners of keys in words."""
    return "".join(f"; {key} belongs to {owner}" for (key, _), owner in zip(placed, owners, strict=True))


def _at(coordinate: float) -> float:
    return round(coordinate, 4)


def _scatter(name: str, x: Sequence[Any], y: Sequence[Any], **more: Any) -> Trace:
    return {"type": "scatter", "name": name, "x": x, "y": y, **more}
