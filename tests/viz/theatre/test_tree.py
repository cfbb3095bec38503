"""Films of layers of balancers: the tiers, what they notice, and what a viewer breaks."""

from __future__ import annotations

from films import EXPERIMENTS, result_of

from lbkit import Experiment, Server, Tier, servers
from lbkit.viz.theatre import film
from lbkit.viz.theatre.director import Director
from lbkit.viz.theatre.tree import AT_THE_ENTRANCE, notices, tiers


def test_tiers_know_their_servers_and_the_tier_above() -> None:
    tree = (Server("s0"), Tier("eu", [Tier("a", servers(2)), Server("x")]), Tier("us", [Server("z")]))
    plain = [(t["name"], t["depth"], t["above"], t["first"], t["last"]) for t in tiers(tree)]
    assert plain == [("eu", 1, -1, 1, 3), ("a", 2, 0, 1, 2), ("us", 1, -1, 4, 4)]


def test_a_name_server_is_asked_only() -> None:
    assert [tier["asked"] for tier in tiers((Tier("dns", [Tier("eu", servers(1))], ttl=60),))] == [
        True,
        False,
    ]


def test_a_film_says_which_layer_noticed_and_when() -> None:
    made = film(result_of("layers"))
    said = [notice["text"] for notice in made.notices]
    assert said[0] == "zone-1a crashes"
    assert any(text.startswith("region-1 sees a request fail at zone-1a, ") for text in said)
    assert any(text.startswith("farm-2b takes s7 out of service, ") for text in said)
    assert [notice["at"] for notice in made.notices] == sorted(notice["at"] for notice in made.notices)
    assert AT_THE_ENTRANCE in made.notes
    down = next(state for state in made.states if state["state"] == "down" and state["at"] == 6)
    names = [*(server["name"] for server in made.servers), *(tier["name"] for tier in made.tiers)]
    assert names[down["server"]] == "zone-1a"


def test_a_viewer_breaks_a_tier_and_takes_it_back() -> None:
    director = Director(EXPERIMENTS["layers"].but(events=()))
    assert director.film.notices == []
    broken = director.act("kill", 3.0, server="farm-2a")
    assert broken.notices[0] == {"at": 3.0, "text": "farm-2a crashes"}
    assert any("zone-2a" in notice["text"] for notice in broken.notices)
    revived = director.act("revive", 8.0, server="farm-2a")
    assert {"up", "down"} <= {state["state"] for state in revived.states}
    director.undo()
    assert director.undo().notices == []


def test_a_film_without_tiers_has_none() -> None:
    made = film(result_of("small"))
    assert made.tiers == made.notices == []
    assert notices(result_of("small")) == []
    assert Experiment(servers(1)).tiers == ()
