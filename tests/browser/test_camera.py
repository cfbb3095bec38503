"""Recordings of the theatre, by a Chromium of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from needs import need_feature
from viz.theatre.toy import every_outcome

from lbkit.viz.theatre.camera import record

pytestmark = pytest.mark.browser
need_feature("record")

FILMS = [every_outcome()]


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_a_recording_has_its_pictures_and_they_move(ending: str, tmp_path: Path) -> None:
    from PIL import Image

    path = record(FILMS, tmp_path / f"x{ending}", start=0.1, seconds=1, fps=4, width=500)
    with Image.open(path) as image:
        assert (image.n_frames, image.width) == (4, 500)  # type: ignore[attr-defined]
        shots = []
        for number in range(4):
            image.seek(number)
            shots.append(image.convert("RGB").tobytes())
    assert len(set(shots)) == 4


def test_a_video_is_recorded_also_while_a_loop_runs_as_in_a_notebook(tmp_path: Path) -> None:
    async def cell() -> Path:
        return record(FILMS, tmp_path / "x.webm", seconds=1, fps=4, width=300, dark=True)

    assert asyncio.run(cell()).read_bytes().startswith(b"\x1aE\xdf\xa3")  # EBML, what WebM files are
