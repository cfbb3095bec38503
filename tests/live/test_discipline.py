"""Backend processes that share their workers, and their network, against the simulator."""

from __future__ import annotations

import asyncio
import time

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Constant, Experiment, Server, Trace, Traffic, run
from lbkit.live.discipline import Discipline, FirstCome, Sharing


def ends(line: Discipline, *works: float, burn: bool = False) -> list[float]:
    """Return when each of the requests ends that arrive together, in seconds of work."""

    async def play() -> list[float]:
        start = time.monotonic()

        async def one(work: float) -> float:
            await line.serve(lambda: work, burn)
            return time.monotonic() - start

        return await asyncio.gather(*map(one, works))

    found = asyncio.run(play())
    assert line.present == 0
    return found


@pytest.mark.parametrize("burn", [False, True])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (FirstCome(1), [0.1, 0.2, 0.3]),
        (FirstCome(3), [0.1, 0.1, 0.1]),
        (Sharing(1), [0.3, 0.3, 0.3]),
        (Sharing(3), [0.1, 0.1, 0.1]),
    ],
)
def test_end_times_of_three_requests(line: Discipline, expected: list[float], burn: bool) -> None:
    """A busy machine is late, and nothing ends early."""
    found = ends(line, 0.1, 0.1, 0.1, burn=burn)
    assert all(e >= wanted - 0.015 for e, wanted in zip(found, expected, strict=True)), found
    assert burn or sum(found) < sum(expected) + 1.0  # burning takes its time on a busy processor


def test_a_request_that_is_cancelled_leaves_its_share_to_the_others() -> None:
    async def play() -> float:
        line = Sharing(1)
        start = time.monotonic()
        leaves = asyncio.create_task(line.serve(lambda: 0.5, False))
        stays = asyncio.create_task(line.serve(lambda: 0.5, False))
        await asyncio.sleep(0.02)
        leaves.cancel()
        await stays
        return time.monotonic() - start

    # 0.02 s at half the speed, then at the full one; 1 s if it were not cancelled.
    assert 0.509 <= asyncio.run(play()) < 0.9


@pytest.mark.live
@pytest.mark.parametrize("discipline", ["fifo", "processor_sharing"])
def test_a_live_server_serves_in_the_order_of_the_simulated_one(discipline: str) -> None:
    """Two bursts of four requests, 0.2 s each: first come first served, the mean time is 0.5 s; shared, it
    is 0.8 s."""
    server = Server("s", service=Constant(0.2), discipline=discipline, queue=3)
    times = [at + i / 1000 for at in (0.2, 1.3) for i in range(4)]
    experiment = Experiment([server], Traffic(Trace(times), 2.3))
    simulated, measured = run(experiment), run(experiment, on="live")
    assert set(measured.status) == {200}
    assert measured.mean == pytest.approx(simulated.mean, rel=0.25)
    assert simulated.mean == pytest.approx(0.5 if discipline == "fifo" else 0.8, abs=0.01)


@pytest.mark.live
def test_jitter_makes_the_network_slower() -> None:
    server = Server("s", service=Constant(0.001), workers=50, delay=0.01, delay_jitter=0.03)
    result = run(Experiment([server], Traffic(Trace([i / 40 for i in range(80)]), 2)), on="live")
    way = [start - arrival for arrival, start in zip(result.arrival, result.start, strict=True)]
    assert min(way) >= 0.01
    assert 0.03 < sum(way) / len(way) < 0.15
    assert max(way) > 0.08
