from __future__ import annotations

from functools import cache

import pytest

from lbkit.course import house

SHORT = {
    name: house.Scenario(house.SCENARIOS[name].experiment.but(duration=20.0)) for name in ("equal", "failing")
}
costs = cache(house._cost_of_house.__wrapped__)  # the same for all tests


@pytest.fixture
def small_house(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two short scenarios and one seed: enough to see the rules."""
    monkeypatch.setattr(house, "SCENARIOS", SHORT)
    monkeypatch.setattr(house, "SEEDS", (1,))
    monkeypatch.setattr(house, "_cost_of_house", costs)
