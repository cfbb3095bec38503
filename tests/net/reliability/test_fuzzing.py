"""A short run of the coverage-guided fuzzer, so that its harness stays whole; long ones are run by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need_module, skip_platform

HARNESS = Path(__file__).parents[2] / "fuzz" / "harness.py"
pytestmark = pytest.mark.live


def test_no_reader_raises_in_a_short_run(tmp_path: Path) -> None:
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        skip_platform("atheris is tried with Python 3.11 on Linux")
    need_module("atheris")
    done = subprocess.run(
        [sys.executable, HARNESS, "-runs=20000", "-max_total_time=5", "-seed=1", "-timeout=20", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs
    assert int(runs[1]) > 100
