"""Anycast by BIRD in network namespaces: the traffic of a client moves, and its connection breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from needs import need, need_module, skip_platform

from lbkit import why_not
from lbkit.live import anycast
from lbkit.live.anycast import AnycastLab
from lbkit.run import EngineError

pytestmark = pytest.mark.live


@pytest.fixture
def lab() -> Iterator[AnycastLab]:
    need("bird")
    if reason := anycast.why_not():
        skip_platform(reason)
    with AnycastLab() as running:
        yield running


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def test_traffic_moves_and_open_connections_break(lab: AnycastLab) -> None:
    assert (lab.ask(), lab.ask(same=True)) == ("frankfurt", "frankfurt")
    lab.withdraw("frankfurt")
    until(lambda: lab.ask() == "virginia")
    assert lab.ask(same=True).startswith("failed: ")  # the other site does not know this connection
    assert lab.ask(same=True) == "virginia"  # so the client has begun a new one
    lab.announce("frankfurt")
    until(lambda: lab.ask() == "frankfurt")
    assert lab.ask(same=True).startswith("failed: ")  # a flap breaks it twice
    with pytest.raises(ValueError, match="use one of frankfurt, virginia"):
        lab.withdraw("mars")


def test_nothing_of_it_is_left(lab: AnycastLab) -> None:
    need_module("psutil")
    import psutil

    own = psutil.Process()
    assert len(own.children(recursive=True)) > 6
    lab.stop()
    assert [p for p in own.children(recursive=True) if p.name() in ("bird", "cat", "sh")] == []
    lab.stop()


def test_what_is_missing_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.needs.find_program", lambda names: None)
    assert "anycast needs" in why_not("anycast")
    with pytest.raises(EngineError, match=r"apt-get install bird2"):
        AnycastLab().start()
    with pytest.raises(ValueError, match="sites: use 1 to 60 names"):
        AnycastLab([])
