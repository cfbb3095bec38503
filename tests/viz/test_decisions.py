from __future__ import annotations

import plotly.graph_objects as go
import pytest

from lbkit.core import Backend, Pool, make_balancer
from lbkit.viz import decisions


def pool_of(algorithm: str, weights: tuple[float, ...] = (5, 1, 1), **options: object) -> Pool:
    backends = [Backend(n, weight=w) for n, w in zip("abcdef", weights, strict=False)]
    return Pool(backends, make_balancer(algorithm, **options))


def validated(figure: go.Figure) -> go.Figure:
    return go.Figure(figure.to_dict())  # plotly checks what we did not


def test_a_ring_is_whole_and_keys_lie_in_their_owners_colours() -> None:
    pool = pool_of("consistent_hash", (1, 1, 1), points=5)
    keys = [f"/item/{i}" for i in range(8)]
    drawn = validated(decisions.ring(pool, keys))
    shares = [float(t.hovertemplate.split(": ")[1].split("%")[0]) for t in drawn.data[:3]]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    colours = {t.name: t.line.color for t in drawn.data[:3]}
    owners = [pool.balancer.pick(pool.eligible, key, 0.0).name for key in keys]
    assert list(drawn.data[3].marker.color) == [colours[o] for o in owners]
    # Not a gap: every arc begins where another ends.
    ends = {round(x, 6) for t in drawn.data[:3] for x in t.x if x is not None}
    assert len(ends) > 15
    with pytest.raises(TypeError, match="maglev has no ring"):
        decisions.ring(pool_of("maglev"))


def test_to_draw_a_ring_changes_nothing() -> None:
    drawn, untouched = (pool_of("bounded_hash", (1, 1, 1), factor=1.1) for _ in range(2))
    for i in range(40):
        decisions.ring(drawn, ["/hot"] * 5)
        assert drawn.pick("/hot", i).name == untouched.pick("/hot", i).name


def test_a_table_has_every_slot_once() -> None:
    drawn = validated(decisions.table(pool_of("maglev", (1, 1, 2), slots=101)))
    assert sorted(int(i) for t in drawn.data for i in t.text) == list(range(101))
    assert max(len(t.text) for t in drawn.data) == 51
    with pytest.raises(TypeError, match="consistent_hash has no table"):
        decisions.table(pool_of("consistent_hash"))


def test_scores_of_smooth_turns() -> None:
    drawn = validated(decisions.scores(pool_of("weighted_round_robin"), ["k"] * 7))
    heat, picked = drawn.data
    assert "".join(picked.y) == "aabacaa"
    assert [list(row) for row in heat.z] == [
        [5, 3, 1, 6, 4, 9, 7],
        [1, 2, 3, -3, -2, -1, 0],
        [1, 2, 3, 4, 5, -1, 0],
    ]
    with pytest.raises(TypeError, match="round_robin compares no scores"):
        decisions.scores(pool_of("round_robin"), ["k"])


def test_scores_with_some_in_flight() -> None:
    pool = pool_of("least_connections", (1, 1, 1))
    decisions.scores(pool, ["k"] * 9, hold=2)
    assert sum(b.in_flight for b in pool.backends) == 2


def test_orders() -> None:
    drawn = validated(decisions.orders({"smooth": "aabacaa", "in a row": "aaaaabc"}))
    assert sum(len(t.x) for t in drawn.data) == 14
    text = drawn.layout.title.text.replace("<br>", " ")
    assert text == "The longest run of requests to one backend: 2 (smooth) to 5 (in a row)"
    assert decisions.two_ends({"a": 3, "b": 3}) == "3"
    assert decisions.runs("aaaaabc") == 5
    assert decisions.runs("") == 0
