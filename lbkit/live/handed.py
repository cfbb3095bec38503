"""Settings for a child process, handed over as a file: an argument or a variable of the environment may be no
longer than 128 KiB on Linux, and the requests of a log are."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any


class Handed:
    """A file with settings in JSON, which only its owner can read; `remove` it when the child has ended. At
    the end of this process it goes, too."""

    def __init__(self) -> None:
        self.path: Path | None = None

    def write(self, settings: dict[str, Any]) -> str:
        """Put settings in the place of those before; return the path."""
        if self.path is None:
            handle, name = tempfile.mkstemp(prefix="lbkit-", suffix=".json")
            os.close(handle)
            self.path = Path(name)
            weakref.finalize(self, self.path.unlink, missing_ok=True)
        self.path.write_text(json.dumps(settings), encoding="utf-8")
        return str(self.path)

    def remove(self) -> None:
        """Safe to repeat."""
        if self.path:
            self.path.unlink(missing_ok=True)


def handed(what: str) -> dict[str, Any]:
    """Return settings, given as JSON or as the path of a file with them. Raises OSError, ValueError."""
    settings: dict[str, Any] = json.loads(what if what.startswith("{") else Path(what).read_text("utf-8"))
    return settings
