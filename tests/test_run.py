from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lbkit import (
    Balancer,
    EngineError,
    Experiment,
    Policy,
    Traffic,
    compare,
    notes,
    render,
    replicate,
    run,
    servers,
    sweep,
)

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
    with pytest.raises(
        EngineError, match=r"^live needs the Python package locust \(.* -m pip install "
    ) as caught:
        run(SMALL, on="live")
    assert caught.value._render_traceback_() == [f"EngineError: {caught.value}"]


def test_configurations_and_notes_need_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.needs.find_program", lambda names: None)
    assert "upstream" in render(SMALL, "nginx")
    assert any("health checks" in line for line in notes(SMALL, "nginx"))
    with pytest.raises(ValueError, match="unknown program nginks; known are nginx, haproxy, apache, caddy"):
        render(SMALL, "nginks")


# -- wrong arguments -------------------------------------------------------------------------------

SMALL = Experiment(servers(2), Traffic(duration=1))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: run(SMALL, gracee=1),
            r"run: unknown option gracee; known are grace, max_events, layer, record, keep; did you",
        ),
        (
            lambda: run(SMALL, on="live", keep="all"),
            r"run: keep is an option of on='sim'; on='live' has layer,",
        ),
        (lambda: run(SMALL, on="live", gracee=1), r"run: unknown option gracee; .* did you mean grace\?"),
        (lambda: compare(SMALL, "random", gracee=1), r"did you mean grace\?"),
        (
            lambda: sweep(SMALL, {"seed": [1]}, progess=False),
            r"sweep: unknown option progess; .* progress\?",
        ),
        (
            lambda: replicate(SMALL, polices="random"),
            r"replicate: unknown option polices; .* policies\?",
        ),
    ],
)
def test_an_unknown_option_names_the_likely_one(call: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: run(None), "experiment is None: use an Experiment"),
        (lambda: compare("x", "random"), "experiment is 'x': use an Experiment"),
        (lambda: sweep(3, {}), "experiment is 3"),
        (lambda: replicate([]), r"experiment is \[\]"),
        (lambda: run(SMALL, on=None), "unknown engine None"),
        (lambda: run(SMALL, grace="x"), "grace is 'x': use a number at least 0, or inf"),
        (lambda: run(SMALL, grace=math.nan), "grace is nan"),
        (lambda: run(SMALL, grace=-1), "grace is -1"),
        (lambda: run(SMALL, max_events=0), "max_events is 0: use a whole number of at least 1"),
        (lambda: run(SMALL, max_events=1.5), "max_events is 1.5"),
        (lambda: compare(SMALL, "random", progress=True), "progress is True: use a function"),
        (lambda: compare(SMALL, [], seeds=2), "policies is empty"),
        (lambda: replicate(SMALL, 2, confidence=95), "confidence is 95: use a number between 0 and 1"),
        (lambda: replicate(SMALL, 2, confidence="x"), "confidence is 'x'"),
        (lambda: replicate(SMALL, 2, executor=4), "executor is 4: use an Executor"),
        (lambda: sweep(SMALL, "seed"), "over is 'seed': use names and their values"),
        (lambda: sweep(SMALL, {1: [1]}), "no '1' to vary"),
        (lambda: sweep(SMALL, {"seed": [1]}, at_once=0), "at_once is 0: use a whole number of at least 1"),
    ],
)
def test_a_wrong_argument_is_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
