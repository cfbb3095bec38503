"""Texts that come from outside."""

from __future__ import annotations

import re

# What could end a line of a log or of a header, or steer a terminal; and halves of characters.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
