"""The six layers, and what breaking a node of them does."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from lbkit import Experiment, Traffic, servers
from lbkit.tier import Tier
from lbkit.topology import break_each, six_layers, what_if
from lbkit.topology.breaking import first_of_each

SMALL = six_layers(1, 2, 2, 1, 2)  # eight servers


def test_six_layers_of_the_numbers_that_were_wanted() -> None:
    experiment = six_layers(2, 3, 2, 2, 4)
    assert len(experiment.leaves) == 2 * 3 * 2 * 2 * 4
    assert first_of_each(experiment.servers) == ["dns", "global-1", "region-1", "zone-1a", "farm-1a1", "s1"]
    assert experiment.load == pytest.approx(0.5)
    assert Experiment.from_toml(experiment.to_toml()) == experiment


@pytest.mark.parametrize("name", ["managers", "regions", "zones", "farms", "servers"])
def test_a_wrong_number_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        six_layers(**{name: 0})
    with pytest.raises(ValueError, match="zones is 27"):
        six_layers(zones=27)


def test_the_farm_notices_its_server_and_saves_what_the_server_lost() -> None:
    broken = what_if(SMALL, "s1")
    farm, *above = broken.notices
    assert farm.layer == "farm-1a"
    assert broken.first is farm
    assert farm.failure < farm.out <= 2 * 3 + 1  # the third check in a row fails
    assert all(notice.first == inf for notice in above)
    assert broken.lost == 0
    assert "farm-1a noticed first" in str(broken)
    assert "entrance: noticed nothing" in repr(broken)


def test_a_farm_without_another_one_is_lost_until_the_region_finds_its_zone_empty() -> None:
    broken = what_if(SMALL, "farm-1a")
    by_layer = {notice.layer: notice for notice in broken.notices}
    assert by_layer["zone-1a"].out < by_layer["region-1"].out < 5 * 4
    assert broken.found is by_layer["zone-1a"]
    assert 0 < broken.lost < broken.came / 4
    assert broken.last <= by_layer["region-1"].out


def test_clients_that_know_an_address_go_on_without_names() -> None:
    short, long = (what_if(six_layers(1, 1, 1, 1, 2, ttl=ttl), "dns") for ttl in (5.0, 1000.0))
    assert short.lost > long.lost
    assert short.lost > 0.8 * short.came
    assert short.first
    assert short.first.layer == "entrance"
    assert not short.found


def test_each_layer_is_broken_in_a_table() -> None:
    each = break_each(SMALL.but(duration=100), ["region-1", "s1"], "hang")
    assert [one.node for one in each] == ["region-1", "s1"]
    assert "region-1 hangs: " in repr(each)
    assert each._repr_html_().count("<tr>") == 3


def test_wrong_questions_are_refused() -> None:
    flat = Experiment(Tier("eu", servers(2)), Traffic(duration=10))
    with pytest.raises(ValueError, match=r"node.*eu"):
        what_if(flat, "ue")
    with pytest.raises(ValueError, match="action is 'drain': use crash or hang"):
        what_if(flat, "eu", "drain")
    with pytest.raises(ValueError, match="until is 3: use a second after 5"):
        what_if(flat, "eu", at=5, until=3)
    with pytest.raises(ValueError, match="at is 50: use a second before 10, when the traffic ends"):
        what_if(flat, "eu", at=50, until=60)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: what_if(3, "eu"), "experiment is 3: use an Experiment"),
        (lambda: what_if(SMALL, None), "unknown node None; known are dns"),
        (lambda: what_if(SMALL, "dns", at="x"), "at is 'x': use a number"),
        (lambda: what_if(SMALL, "dns", until=inf), "until is inf: use a number"),
        (lambda: break_each(SMALL, 5), "unknown node 5"),
        (lambda: break_each(None), "experiment is None: use an Experiment"),
        (lambda: six_layers(10**6), "servers: there would be 8,000,000: use at most 100,000"),
    ],
)
def test_wrong_types_and_sizes_are_named(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
