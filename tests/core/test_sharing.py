"""Processor sharing against a simulation in small steps, and by hand."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.sharing import ProcessorSharing


def ends(jobs: list[tuple[float, float]], processors: int) -> dict[int, float]:
    """When each job ends, of jobs given as (time, work) in order of time."""
    sharing: ProcessorSharing[int] = ProcessorSharing(processors)
    found: dict[int, float] = {}
    for number, (at, work) in enumerate([*jobs, (inf, 0.0)]):
        while sharing.due <= at and sharing.due < inf:
            due = sharing.due
            job = sharing.end(due)
            assert job is not None
            found[job] = due
        if at < inf:
            sharing.join(number, work, at)
    assert len(sharing) == 0
    return found


def ends_step_by_step(jobs: list[tuple[float, float]], processors: int) -> dict[int, float]:
    """The same from the definition: from change to change, each job does its share of the work."""
    left: dict[int, float] = {}
    found: dict[int, float] = {}
    coming = list(enumerate(jobs))
    now = 0.0
    while coming or left:
        share = min(1.0, processors / len(left)) if left else 0.0
        first_end = now + min(left.values()) / share if left else inf
        then = min(first_end, coming[0][1][0] if coming else inf)
        left = {job: work - (then - now) * share for job, work in left.items()}
        now = then
        if now == first_end:
            job = min(left, key=left.__getitem__)
            found[job] = now
            del left[job]
        else:
            number, (_, work) = coming.pop(0)
            left[number] = work
    return found


def test_two_jobs_slow_each_other_down() -> None:
    """Half of the first is done when the second comes; then each has half of the processor."""
    assert ends([(0.0, 1.0), (0.5, 1.0)], 1) == {0: 1.5, 1: 2.0}


def test_with_a_processor_for_each_job_none_waits() -> None:
    assert ends([(0.0, 1.0), (0.5, 1.0)], 2) == {0: 1.0, 1: 1.5}


def test_three_jobs_on_two_processors() -> None:
    assert ends([(0.0, 2.0), (0.0, 2.0), (0.0, 4.0)], 2) == pytest.approx({0: 3.0, 1: 3.0, 2: 5.0})


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 5)), min_size=1, max_size=12).map(sorted),
    st.integers(1, 3),
)
def test_jobs_end_as_by_the_definition(jobs: list[tuple[float, float]], processors: int) -> None:
    assert ends(jobs, processors) == pytest.approx(ends_step_by_step(jobs, processors), abs=1e-9)


def test_a_clock_that_is_late_changes_no_later_end() -> None:
    sharing: ProcessorSharing[str] = ProcessorSharing(1)
    sharing.join("a", 1.0, 0.0)
    sharing.join("b", 2.0, 0.0)
    assert sharing.end(1.9) is None
    assert sharing.end(2.3) == "a"
    assert sharing.due == 3.0
    assert sharing.end(2.3) is None


def test_clear_returns_all_jobs_in_the_order_of_their_ends() -> None:
    sharing: ProcessorSharing[str] = ProcessorSharing(1)
    sharing.join("long", 3.0, 0.0)
    sharing.join("short", 1.0, 0.0)
    assert sharing.clear() == ["short", "long"]
    assert sharing.due == inf
    sharing.join("new", 1.0, 5.0)
    assert sharing.due == 6.0
