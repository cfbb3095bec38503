from __future__ import annotations

import pytest
from films import EXPERIMENTS, result_of

from lbkit import Tls, run
from lbkit.result import Result
from lbkit.viz.theatre.props.connections import connections
from lbkit.viz.theatre.window import window


def shown(result: Result) -> dict:
    prop = connections(result, window(result, 0.0, None, 5000))
    assert prop
    return prop


def servers_of_lanes(prop: dict) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for lane, server in zip(prop["requests"]["lane"], prop["requests"]["server"], strict=True):
        found.setdefault(lane, set()).add(server)
    return found


def test_at_layer_4_a_lane_has_one_server_and_at_layer_7_several() -> None:
    four, seven = (shown(result_of(name)) for name in ("layer4", "layer7"))
    assert (four["layer"], seven["layer"]) == (4, 7)
    for lane, servers in servers_of_lanes(four).items():
        assert servers == {four["lanes"][lane]["server"]}
    assert max(len(servers) for servers in servers_of_lanes(seven).values()) == 3
    assert [lane["client"] for lane in four["lanes"]] == [lane["client"] for lane in seven["lanes"]]


@pytest.mark.parametrize("reuse", [True, False])
def test_with_http_1_a_connection_carries_one_request_at_a_time(reuse: bool) -> None:
    experiment = EXPERIMENTS["layer7"].but(http="1.1", reuse=reuse, tls=Tls())
    prop = shown(run(experiment))
    ends: dict[int, float] = {}
    for lane, at, end in zip(*(prop["requests"][name] for name in ("lane", "at", "end")), strict=True):
        assert at >= ends.get(lane, 0.0)
        assert reuse or lane not in ends
        ends[lane] = end


def test_there_is_none_where_the_run_has_no_connections_of_its_own() -> None:
    for result in (result_of("small"), run(EXPERIMENTS["layer4"])):
        assert connections(result, window(result, 0.0, None, 5000)) is None
