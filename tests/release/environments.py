"""Environments as those who install a release have them: a new Python, the wheel, and no clone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import lbkit

ROOT = Path(lbkit.__file__).parents[1]
DIST = ROOT / "dist" / "release"  # `make release` builds what is in it


def built(pattern: str) -> Path:
    """Return the one file of the release that has this name."""
    (found,) = DIST.glob(pattern)
    return found


def clean(folder: Path) -> dict[str, str]:
    """Return the variables of a new environment in a folder: nothing leads to this clone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LBKIT_", "VIRTUAL_ENV"))}
    return kept | {"HOME": str(folder), "LBKIT_PROGRESS": str(folder / "progress.json")}


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own in `folder`, without pip: that of this Python installs into it."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Environment:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        return cls(folder)

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def install(self, wheel: Path, extra: str = "") -> None:
        wanted = f"lbkit-lab[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", "install"]
        options = ["-q", "--no-compile", "-c", str(ROOT / "requirements.lock")]
        done = subprocess.run(
            [*pip, *options, wanted], capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run Python with these arguments, in the folder of the environment; return what it prints."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=clean(self.folder),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout
