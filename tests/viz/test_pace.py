from __future__ import annotations

import asyncio

import pytest

from lbkit.viz import pace as pace_module
from lbkit.viz.pace import Pace


def test_changes_while_it_works_are_one_and_rest_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "QUIET", 0)
    done: list[str] = []

    async def play() -> None:
        pace = Pace(lambda: glance(pace), rest)
        pace.move()
        pace.move()
        assert pace.task
        await pace.task

    async def glance(pace: Pace) -> None:
        done.append("glance")
        if len(done) == 1:
            pace.move()
            pace.move()
            assert pace.moving

    async def rest() -> None:
        done.append("rest")

    asyncio.run(play())
    assert done == ["glance", "glance", "rest"]


def test_a_change_while_it_rests_is_looked_at_and_it_rests_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "QUIET", 0)
    done: list[str] = []

    async def play() -> None:
        async def glance() -> None:
            done.append("glance")

        async def rest() -> None:
            done.append("rest")
            if len(done) == 1:
                pace.move()

        pace = Pace(glance, rest)
        pace.rest()
        assert pace.task
        await pace.task

    asyncio.run(play())
    assert done == ["rest", "glance", "rest"]


def test_a_plain_script_has_no_loop_to_work_in() -> None:
    async def nothing() -> None:
        pass

    with pytest.raises(RuntimeError):
        Pace(nothing, nothing).move()
