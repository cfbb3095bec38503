"""Capacity planning is right on real sockets."""

from __future__ import annotations

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Constant, Experiment, run, servers
from lbkit.capacity import servers_needed

pytestmark = pytest.mark.live


def test_the_recommended_number_holds_on_real_sockets_and_one_fewer_does_not() -> None:
    """The limit is far from what both reach, as a busy machine adds some of its own."""
    today = Experiment(servers(1, service=Constant(0.05)), policy="round_robin").at_load(0.75)
    found = servers_needed(today.but(duration=20), limit=0.5, scale=2.0, seeds=4)
    assert found.servers == found.at_least == 2
    enough, fewer = (run(found.experiment_with(n).but(duration=5), on="live") for n in (2, 1))
    assert enough.percentile(99) < found.limit
    assert enough.error_rate == 0
    assert fewer.percentile(99) > 2 * found.limit
