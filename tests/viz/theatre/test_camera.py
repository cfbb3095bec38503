from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from viz.theatre.toy import every_outcome

from lbkit import needs
from lbkit.viz.theatre.camera import record

FILMS = [every_outcome()]


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("x.mp4", {}, r"path is 'x.mp4': use a name that ends with .html, .gif, .webp, .webm"),
        ("x.gif", {"seconds": 0}, "seconds"),
        ("x.gif", {"fps": 0}, "fps"),
        ("x.gif", {"seconds": 1000}, "seconds are 1000: .* use 1 to 1500 pictures"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    path: str, options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        record(FILMS, path, **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_browser_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "find_program", lambda names: None)
    monkeypatch.setattr(needs, "has_package", lambda name: True)
    with pytest.raises(RuntimeError, match="record needs the program chromium"):
        record(FILMS, tmp_path / "x.gif")
