"""A cache in front of the servers, as data: the same for the simulator and the proxy."""

from __future__ import annotations

import re
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import flag, one_of
from lbkit.core.cache import CacheRules, FlightRules
from lbkit.core.options import named_fields
from lbkit.core.text import shown

# Statuses of answers that get the `control` of a Caching: complete ones, whoever asks.
PLAIN = frozenset((200, 203, 300, 301, 308))

_CONTROL = re.compile(r"[ -~]*")
_NAME = re.compile(r"[A-Za-z][\w.-]*|", re.ASCII)


def _control(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not _CONTROL.fullmatch(value):
        raise ValueError(f"{attribute.name} is {shown(value)}: use directives, such as max-age=60")


def _name(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a word, such as lbkit; empty: no field")


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
    flights: FlightRules = field(factory=FlightRules, validator=one_of(FlightRules))
