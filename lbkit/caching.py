"""A cache in front of the servers, as data: the same for the simulator and the proxy."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import flag, one_of, text, whole
from lbkit.core.cache import CacheRules, FlightRules
from lbkit.core.options import named_fields
from lbkit.core.text import shown

# Statuses of answers that get the `control` of a Caching: complete ones, whoever asks.
PLAIN = frozenset((200, 203, 300, 301, 308))

_CONTROL = re.compile(r"[ -~]*")
_LIFETIME = re.compile(r"(?:max-age|s-maxage|stale-while-revalidate|stale-if-error)\s*=\s*([^,\s]*)")
_NAME = re.compile(r"[A-Za-z][\w.-]*|", re.ASCII)


def _control(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not _CONTROL.fullmatch(value):
        raise ValueError(f"{attribute.name} is {shown(value)}: use directives, such as max-age=60")
    for seconds in _LIFETIME.findall(value.lower()):
        if not re.fullmatch(r"[0-9]+|\"[0-9]+\"", seconds):  # else it would count as 0 (RFC 9111, 1.2.2)
            raise ValueError(f"{attribute.name} is {shown(value)}: use whole seconds, not {seconds}")


def _name(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a word, such as lbkit; empty: no field")


@named_fields
@frozen
class DiskRules:
    """A folder that keeps what is stored, also what memory has no room for, until the next start. All workers
    share it.

    `max_bytes`: of what is stored; the least recently used goes first. A journal of some MB comes on top."""

    folder: str = field(validator=text(empty=False))
    max_bytes: int = field(default=2**30, validator=whole(2**20))


@named_fields
@frozen
class Caching:
    """A shared cache (RFC 9111).

    `control`: the Cache-Control of answers to GET that have none (nginx: proxy_cache_valid); clients see it,
    too. By default servers decide what is stored. `coalesce`: of the requests for one thing at a time, one
    goes to the servers, the others wait for its answer. `name`: in Cache-Status (RFC 9211), which says what
    the cache did; empty: no such field.
    """

    control: str = field(default="", validator=_control)
    coalesce: bool = field(default=True, validator=flag)
    name: str = field(default="lbkit", validator=_name)
    rules: CacheRules = field(factory=CacheRules, validator=one_of(CacheRules))
    disk: DiskRules | None = field(default=None, validator=attrs.validators.optional(one_of(DiskRules)))
    flights: FlightRules = field(factory=FlightRules, validator=one_of(FlightRules))


class Served(IntEnum):
    """How a request was served where there is a cache: the column `cache` of a Result."""

    PASSED = 0  # not a matter of caches, or not answered
    MISS = 1  # by a server
    HIT = 2  # from the cache
    STALE = 3  # from the cache, by a stale answer: while it is validated, or in place of an error
    VALIDATED = 4  # from the cache, after a server has confirmed it
    COLLAPSED = 5  # by what another request has fetched meanwhile


# nginx's $upstream_cache_status. It has no word for requests that waited for another: they are hits.
NGINX = {
    "MISS": Served.MISS,
    "EXPIRED": Served.MISS,
    "HIT": Served.HIT,
    "STALE": Served.STALE,
    "UPDATING": Served.STALE,
    "REVALIDATED": Served.VALIDATED,
}
_TTL = re.compile(r"; ttl=(-?\d+)")


def served(status: str) -> Served:
    """Return what an answer's Cache-Status says (RFC 9211), or nginx's word for it."""
    if status in NGINX:
        return NGINX[status]
    parts = [part.strip() for part in status.split(";")[1:]]
    if "hit" in parts:
        age = _TTL.search(status)
        return Served.STALE if age and int(age[1]) < 0 else Served.HIT
    if 'detail="stale-if-error"' in parts:
        return Served.STALE
    if "collapsed" in parts:
        return Served.COLLAPSED if "fwd-status=" not in status else Served.MISS
    if "fwd-status=304" in parts:
        return Served.VALIDATED
    return (
        Served.MISS
        if any(part.startswith("fwd=") and part != "fwd=method" for part in parts)
        else Served.PASSED
    )


# A server has worked on these, and the fields of their answers are about that.
FETCHED = frozenset((Served.PASSED, Served.MISS))
