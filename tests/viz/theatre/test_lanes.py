from __future__ import annotations

from lbkit.viz.style import CLIENTS, INK
from lbkit.viz.theatre.lanes import Lanes


def test_few_clients_have_lanes_of_their_own() -> None:
    lanes = Lanes([5, 2, 5, 9])
    assert [lane["name"] for lane in lanes.named] == ["c2", "c5", "c9"]
    assert [lanes.of(client) for client in (2, 5, 9)] == [0, 1, 2]


def test_the_rare_ones_of_many_clients_share_the_last_lane() -> None:
    lanes = Lanes([*range(7)] * 9 + [*range(50)])
    assert lanes.named[-1] == {"name": "others", "colour": INK, "number": None}
    assert [lanes.of(client) for client in (0, 6, 7, 49)] == [0, 6, 7, 7]


def test_many_clients_alike_share_all_lanes() -> None:
    lanes = Lanes(range(100))
    assert [lane["colour"] for lane in lanes.named] == [*CLIENTS]
    assert lanes.named[1]["name"] == "c1 c9…"
    assert [lanes.of(client) for client in (0, 8, 99)] == [0, 0, 3]
