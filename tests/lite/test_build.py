"""What `make lite` deletes, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lite.__main__ import build, version
from lite.wheels import Wheel


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    site, kept = tmp_path / "site", tmp_path / "site" / "thesis.txt"
    site.mkdir()
    kept.write_text("years of work")
    with pytest.raises(SystemExit, match=f"{site} is no site that was made here"):
        build(site, tmp_path / "cache")
    assert kept.read_text() == "years of work"
    assert not (tmp_path / "cache").exists()


def test_the_newest_wheel_is_that_of_the_highest_version() -> None:
    wheels = [Wheel(Path(f"lbkit_lab-{number}-py3-none-any.whl")) for number in ("0.9", "0.10", "0.2")]
    assert max(wheels, key=version).version == "0.10"
