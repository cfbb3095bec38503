"""For all tests. No silent skips: with LBKIT_REQUIRE_ALL set, a skipped test or module is a failure."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from needs import PLATFORM, REQUIRE_ALL

from lbkit import watchdog
from lbkit.core.balance import base as balance
from lbkit.core.limit import base as limit

pytest_plugins = ["pytester"]

# Laws are tested on machines that are busy with something else, too. CI takes the same examples each time, so
# that a change is what fails it; new ones are drawn elsewhere, and `pytest --hypothesis-profile=thorough`
# takes its time.
settings.register_profile("lbkit", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("ci" if REQUIRE_ALL else "lbkit")

# Sockets, processes and browsers take real time, of which other test processes may leave too little. Such a
# test may be run once more; the summary names it (RERUN), as one that often needs it is broken. What only
# computes must pass at once.
HERE = Path(__file__).parent
COMPUTES = [HERE / name for name in ("core", "sim", "metrics", "alerts", "diagnosis", "capacity")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not any(item.path.is_relative_to(folder) for folder in COMPUTES):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=1))


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """A test may define algorithms and limiters, also of a name that another module's class has."""
    registries: list[dict[str, Any]] = [balance._registry, limit._registry]
    before = [dict(registry) for registry in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        if registry != known:
            registry.clear()
            registry.update(known)


@pytest.fixture
def own_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of algorithms that fail: the watchdog looks more often."""
    monkeypatch.setattr(watchdog, "PERIOD", 0.03)


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (REQUIRE_ALL and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(PLATFORM):
        report.outcome = "failed"
        report.longrepr = f"skipped though LBKIT_REQUIRE_ALL is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    forbid_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say why tests had to run once more: their first failure is in no other report."""
    for report in terminalreporter.stats.get("rerun", ()):
        crash = getattr(report.longrepr, "reprcrash", None)
        why = crash.message if crash else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid} ran once more: {why[:1500]}")
