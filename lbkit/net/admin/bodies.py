"""What a change says, as data: read by the same strict schema as configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.checks import number, one_of, text, word
from lbkit.core import Intent
from lbkit.core.options import named_fields
from lbkit.core.text import shown
from lbkit.schema import parse, strict_converter, structure

T = TypeVar("T")


class BodyError(ValueError):
    """Raised for a body that is not what the operation takes: a line for each wrong field."""


@named_fields
@frozen
class BackendChange:
    """A new weight, a new intent, or both."""

    weight: float | None = field(default=None, validator=optional(number(0)))
    intent: str | None = field(default=None, validator=optional(word(i.value for i in Intent)))

    def __attrs_post_init__(self) -> None:
        if self.weight is None and self.intent is None:
            raise ValueError("weight and intent are missing: set one of them, or both")


@named_fields
@frozen
class BreakerChange:
    state: str = field(validator=word(("open", "closed")))


@named_fields
@frozen
class AlgorithmChange:
    algorithm: str = field(validator=text(empty=False))
    options: Mapping[str, Any] = field(factory=dict, validator=one_of(Mapping))


def _visible(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, str) and re.fullmatch("[!-~]*", value)):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a URL, in ASCII without spaces")


@named_fields
@frozen
class Purge:
    url: str = field(default="", validator=_visible)  # "": everything


_converter = strict_converter()


def read_body(body: bytes, wanted: type[T]) -> T:
    """Return a JSON body as a `wanted`. Raises BodyError."""
    try:
        data = parse(body.decode(), "JSON", BodyError)
    except UnicodeDecodeError as error:
        raise BodyError(f"byte {error.start + 1}: not JSON: no UTF-8 text") from None
    if not isinstance(data, Mapping):
        raise BodyError("the body must be a JSON object")
    return structure(_converter, data, wanted, BodyError)
