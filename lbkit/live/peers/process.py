"""A running program: its processor time, and its administration over HTTP."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbkit.live.peers.errors import PeerError


def cpu_seconds(process: Any) -> float:
    """Return the processor time in seconds of a psutil.Process and of its children that have ended.

    In nanoseconds by thread on Linux; elsewhere in hundredths of a second."""
    times = process.cpu_times()
    ended = float(sum(times[2:4]))
    try:
        tasks = list(Path(f"/proc/{process.pid}/task").iterdir())
        return ended + sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9
    except OSError:
        return ended + float(sum(times[:2]))


def fetch(url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None, ca: str = "") -> str:
    """Return the answer as a text. `ca`: a file with the authority that is trusted.

    Raises PeerError with an error answer, OSError without any."""
    request = urllib.request.Request(url, data, dict(headers or {}))
    context = ssl.create_default_context(cafile=ca) if ca else None
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            text: str = answer.read().decode(errors="replace")
            return text
    except urllib.error.HTTPError as error:
        with error:
            why = error.read().decode(errors="replace")[:500]
            raise PeerError(f"{url} answered {error.code}: {why}") from None
