"""Kinds of fields: a section, a list of sections, networks, names of header fields, a path.

Each validator raises ValueError that names the field, its value and the mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import cattrs
from attrs import field
from attrs.validators import optional

from lbkit.checks import one_of, several
from lbkit.core.text import shown
from lbkit.net.peer import trusted_networks
from lbkit.net.settings import AdminRules

MOST_WORKERS = 512  # a mistyped number must not start a million processes
FRAMING = ("content-length", "transfer-encoding")  # without these a client cannot read an answer
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def section(cls: Any) -> Any:
    """Return the field of a table of the file, which configures a `cls`; None, what is off, by default."""
    return field(default=None, validator=optional(one_of(cls)))


def defaults(cls: Any) -> Any:
    """Return the field of a table that is always in force: the defaults of `cls`, unless the file has it."""
    return field(factory=cls, validator=one_of(cls))


def sections(cls: type) -> Any:
    """Return the field of a list of tables, each of them a `cls`; one alone becomes a list."""
    return field(default=(), converter=_several, validator=all_are(cls))


def admin_section() -> Any:
    """Return the field `admin`: a table, or the path of a Unix socket."""
    return field(default=None, converter=_admin_rules, validator=optional(one_of(AdminRules)))


def _several(what: Any) -> tuple[Any, ...]:
    return several(what)


def all_are(cls: type) -> Any:
    """Return a validator that requires every item to be a `cls`."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
        for i, one in enumerate(value):
            if not isinstance(one, cls):
                raise ValueError(f"{attribute.name}[{i}] is {one!r}: use a {cls.__name__}")

    return check


def a_path(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, str) and re.fullmatch(r"/[!-~]*", value)):
        raise ValueError(f"{attribute.name} is {value!r}: use a path, such as /load")


def texts(what: Iterable[str]) -> Iterable[str]:
    """Convert a list to a tuple; a text stays as it is, for the validator to refuse."""
    return tuple(what) if isinstance(what, Iterable) and not isinstance(what, str | bytes) else what


def networks(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    _several_texts(attribute, value)
    faults = []
    for network in value:
        try:
            trusted_networks([network])
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("\n".join(faults))


def header_fields(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    _several_texts(attribute, value)
    faults = []
    for name in value:
        if not TOKEN.fullmatch(name):
            faults.append(f"{attribute.name} has {name!r}: use the name of a header field, such as Server")
        elif name.lower() in FRAMING:
            faults.append(
                f"{attribute.name} has {name!r}: without it clients cannot read answers; leave it out"
            )
    if faults:
        raise ValueError("\n".join(faults))


def _several_texts(attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{attribute.name} is {value!r}: use a list of strings")


def _admin_rules(what: AdminRules | str | None) -> AdminRules | None:
    return (AdminRules(socket=what) if what else None) if isinstance(what, str) else what


def add_admin(converter: cattrs.Converter) -> None:
    """Teach `converter` the field `admin`; see `admin_section`."""

    def structure(value: Any, _: Any) -> AdminRules | None:
        try:
            if value is None or isinstance(value, str):
                return _admin_rules(value)
        except ValueError as error:
            raise ValueError(str(error).removeprefix("socket ")) from None
        if not isinstance(value, Mapping):
            raise ValueError(f"is {shown(value)}: use the path of a socket, or a table such as [admin]")
        rules: AdminRules = converter.structure(value, AdminRules)
        return rules

    converter.register_structure_hook(AdminRules | None, structure)
