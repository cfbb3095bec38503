"""The field Cache-Status (RFC 9211): how a cache handled a request."""

from __future__ import annotations

import re
from functools import lru_cache
from math import floor

from lbkit.core.cache.cache import Lookup
from lbkit.core.cache.entry import B

_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~\w:/-]*", re.ASCII)


def cache_status(
    name: str,
    lookup: Lookup[B],
    *,
    status: int = 0,
    stored: bool = False,
    collapsed: bool = False,
    detail: str = "",
) -> str:
    """Return the member of Cache-Status for one request at the cache called `name`.

    `status`: of the origin's answer, 0 without one. `stored`: that answer was kept. `collapsed`: the request
    waited for another one's. `detail`: text for people, such as why it was not stored."""
    parts = [_item(name)]
    if lookup.served:
        parts += ["hit", f"ttl={floor(lookup.ttl)}"]
    elif lookup.forward:
        parts.append(f"fwd={lookup.forward.value}")
        parts += [f"fwd-status={status}"] * bool(status) + ["stored"] * stored + ["collapsed"] * collapsed
    if detail:
        parts.append(f"detail={_quoted(detail)}")
    return "; ".join(parts)


@lru_cache(maxsize=64)
def _item(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    """Return a string of structured fields; what it cannot have, such as a line break, becomes "?"."""
    plain = re.sub(r"[^ -~]", "?", text)
    return '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'
