"""The firewall as data: the same for the simulator and the proxy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.checks import flag, text, whole, word
from lbkit.core.firewall import KNOWN, Firewall
from lbkit.core.networks import networks
from lbkit.core.options import named_fields

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _tuple(what: Any) -> Any:
    return tuple(what) if isinstance(what, Iterable) and not isinstance(what, str | bytes) else what


def _networks(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f'{attribute.name} is {value!r}: use a list such as ["10.0.0.0/8"]')
    try:
        networks(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


@named_fields
@frozen
class FirewallRules:
    """What the firewall refuses. `mode`: "monitor" only records it, "block" refuses it.

    `threshold`: of the anomaly score, to which signatures add 2 to 5 each. `allow`: networks that are not
    looked at. `deny`: networks that are refused. `methods`: those allowed; empty: any. Sizes in bytes.
    `bodies`: looks at the first 64 KiB of forms, JSON and other texts, too; a request waits until they are
    here. `encoded`: what happens to those with a Content-Encoding. `off`: ids of rules that are not used.
    `audit`: a file for records, or "-" for standard error.

    `engine`: "lbkit" has the signatures of `core`; "modsecurity" has those in the files `rules` (none: the
    OWASP Core Rule Set), at a level of `paranoia` from 1 to 4. The limits are the same with both.
    """

    mode: str = field(default="monitor", validator=word(("monitor", "block")))
    engine: str = field(default="lbkit", validator=word(("lbkit", "modsecurity")))
    rules: tuple[str, ...] = field(default=(), converter=_tuple)
    paranoia: int = field(default=1, validator=whole(1, 4))
    threshold: int = field(default=5, validator=whole(1))
    allow: tuple[str, ...] = field(default=(), converter=_tuple, validator=_networks)
    deny: tuple[str, ...] = field(default=(), converter=_tuple, validator=_networks)
    methods: tuple[str, ...] = field(default=METHODS, converter=_tuple)
    max_target: int = field(default=4096, validator=whole(1))
    max_arguments: int = field(default=200, validator=whole(1, 10_000))
    max_body: int | None = field(default=None, validator=optional(whole(0)))
    bodies: bool = field(default=True, validator=flag)
    encoded: str = field(default="inspect", validator=word(("inspect", "refuse", "pass")))
    off: tuple[int, ...] = field(default=(), converter=_tuple)
    audit: str = field(default="", validator=text())

    @methods.validator
    def _methods(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or not all(isinstance(m, str) and m.isalpha() for m in value):
            raise ValueError(f'methods is {value!r}: use a list such as ["GET", "POST"]')
        if wrong := [method for method in value if method != method.upper()]:
            raise ValueError(f"methods has {wrong[0]!r}: methods have case; use {wrong[0].upper()}")

    @off.validator
    def _ids(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple):
            raise ValueError(f"off is {value!r}: use a list of ids such as [1006]")
        for one in value:
            if type(one) is not int or one < 1:
                raise ValueError(f"off has {one!r}: use ids that records show")

    @rules.validator
    def _files(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
            raise ValueError(f'rules is {value!r}: use a list of files such as ["/etc/modsecurity/*.conf"]')

    def faults(self) -> Iterator[str]:
        """Yield the contradictions between fields that are valid by themselves."""
        if self.engine == "modsecurity":
            return
        for number in self.off:
            if number not in KNOWN:
                known = f"from {min(KNOWN)} to {max(KNOWN)}"
                yield f"firewall.off has {number}: use ids that records show, {known}"
        if self.rules or self.paranoia > 1:
            name = "rules" if self.rules else "paranoia"
            yield f'firewall.{name} is set, but engine is "lbkit": use engine = "modsecurity", or remove it'

    def firewall(self) -> Firewall:
        return Firewall(
            threshold=self.threshold,
            allow=networks(self.allow),
            deny=networks(self.deny),
            methods=self.methods,
            max_target=self.max_target,
            max_arguments=self.max_arguments,
            max_body=self.max_body,
            off=self.off,
        )
