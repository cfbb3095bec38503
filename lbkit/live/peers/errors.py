"""The error that all peers raise."""

from __future__ import annotations

from lbkit.run import EngineError


class PeerError(EngineError):
    """A program did not start, or cannot do what the experiment needs; says what, and what to do."""
