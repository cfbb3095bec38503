"""What every wrong setting becomes."""

from __future__ import annotations


class ConfigError(ValueError):
    """Raised for invalid settings; the message has a line for each wrong field and says how to correct it."""


NO_BACKENDS = "backends is missing: there must be at least one"
