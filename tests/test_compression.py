"""Compression in an experiment, and what the simulator says of it."""

from __future__ import annotations

import pytest

from lbkit import (
    Caching,
    Compression,
    Constant,
    Experiment,
    ExperimentError,
    Layer4,
    Poisson,
    RequestKind,
    Traffic,
    run,
    servers,
)
from lbkit.core.cache import CacheRules
from lbkit.engine_report import Compressed

KINDS = (RequestKind("page", size=20_000), RequestKind("small", size=100))
BASE = Experiment(
    servers(2, service=Constant(0.01)), Traffic(Poisson(40), duration=1, mix=KINDS), compression=Compression()
)


def test_the_rules_survive_a_file() -> None:
    strong = BASE.but(
        compression=Compression(codings=("gzip",), minimum=10, types=("text/*",), effort="best")
    )
    for experiment in (BASE, strong):
        assert Experiment.from_toml(experiment.to_toml()) == experiment
        assert Experiment.from_json(experiment.to_json()) == experiment


def test_a_wrong_field_of_a_file_is_named() -> None:
    with pytest.raises(ExperimentError, match=r"compression.effort is 'most': use fast, balanced, best"):
        Experiment.from_toml(BASE.to_toml().replace("[compression]", '[compression]\neffort = "most"'))
    with pytest.raises(ExperimentError, match="compression: layer 4 reads no requests"):
        BASE.but(layer4=Layer4())
    with pytest.raises(ValueError, match="size is -1"):
        RequestKind("a", size=-1)


def test_the_simulator_says_that_nothing_is_compressed() -> None:
    result = run(BASE)
    assert result.compressed is None
    assert any("nothing is compressed here" in note for note in result.notes)
    assert any("sizes of answers" in note for note in run(BASE.but(compression=None)).notes)


def test_large_answers_fill_a_cache() -> None:
    rules = CacheRules(max_bytes=100_000)
    large = (RequestKind("page", size=50_000),)
    cached = BASE.but(compression=None, cache=Caching("max-age=60", rules=rules), paths=10, duration=20)
    small, full = run(cached.but(mix=())), run(cached.but(mix=large))
    assert full.hit_rate < 0.5 < small.hit_rate


def test_the_share_saved_is_of_the_content() -> None:
    assert Compressed(3, 25, 100).saved == 0.75
    assert Compressed(0, 0, 0).saved == 0.0
