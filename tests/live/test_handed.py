from __future__ import annotations

import gc
import stat
from pathlib import Path

import pytest
from needs import need_feature

from lbkit import Empirical, Experiment, Trace, Traffic, run, servers
from lbkit.live.handed import Handed, handed

MORE = 20_000  # values: more than fit into an argument


def test_settings_come_back_from_a_file_and_from_a_text() -> None:
    given = Handed()
    path = given.write({"port": 1})
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert handed(path) == handed('{"port": 1}') == {"port": 1}
    assert given.write({"port": 2}) == path
    assert handed(path) == {"port": 2}
    given.remove()
    given.remove()
    assert not Path(path).exists()


def test_it_goes_with_its_owner() -> None:
    path = Path(Handed().write({}))
    gc.collect()
    assert not path.exists()


def test_nothing_is_left_of_what_was_never_written() -> None:
    Handed().remove()


@pytest.mark.live
def test_the_requests_of_a_long_log_run_on_real_processes() -> None:
    need_feature("live")
    times = [i / 50 for i in range(MORE)]
    service = Empirical([0.001 + i * 1e-7 for i in range(MORE)])
    r = run(Experiment(servers(1, service=service), Traffic(Trace(times), duration=1)), on="live")
    assert len(r) == 50
    assert r.error_rate == 0
