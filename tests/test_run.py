from __future__ import annotations

import pytest

from lbkit import Balancer, EngineError, Experiment, Policy, Traffic, compare, notes, render, run, servers

SMALL = Experiment(servers(2), Traffic(duration=2))


class OneOfMine(Balancer):
    def pick(self, backends, key, now):
        return backends[0]


@pytest.mark.parametrize("policy", ["random", Policy("random"), OneOfMine], ids=str)
def test_one_policy_is_compared_as_a_list_of_one(policy: object) -> None:
    (alone,) = compare(SMALL, policy)
    (listed,) = compare(SMALL, [policy])
    assert alone.latencies() == listed.latencies()
    assert alone.policy == listed.policy


def test_an_unknown_engine_names_the_likely_one() -> None:
    with pytest.raises(ValueError, match=r"^unknown engine nginks; known are sim, .*; did you mean nginx\?"):
        run(SMALL, on="nginks")


def test_an_engine_that_lacks_something_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.needs.has_package", lambda name: name != "locust")
    with pytest.raises(EngineError, match=r"^live needs the Python package locust \(.* -m pip install "):
        run(SMALL, on="live")


def test_configurations_and_notes_need_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.needs.find_program", lambda names: None)
    assert "upstream" in render(SMALL, "nginx")
    assert any("health checks" in line for line in notes(SMALL, "nginx"))
    with pytest.raises(ValueError, match="unknown program nginks; known are nginx, haproxy, apache, caddy"):
        render(SMALL, "nginks")
