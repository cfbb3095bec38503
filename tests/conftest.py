"""For all tests. No silent skips: with LBKIT_REQUIRE_ALL set, a skipped test or module is a failure."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from needs import PLATFORM, REQUIRE_ALL

from lbkit import watchdog
from lbkit.core.balance import base as balance
from lbkit.core.limit import base as limit

pytest_plugins = ["pytester"]

# Laws are tested on machines that are busy with something else, too. CI draws new examples on each of three
# Pythons; `pytest --hypothesis-profile=thorough` takes its time.
settings.register_profile("lbkit", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("lbkit")


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
