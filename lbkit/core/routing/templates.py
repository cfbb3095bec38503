"""Templates for the paths and URLs that rules write, filled from the request without trusting it.

A path comes from the client, and decoded it can contain anything, line ends too. So what is filled in is
escaped again, and a template may not leave it to the request which host a URL names: /go//evil.example
filled into "/{rest}" must not become //evil.example, which browsers read as another site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from lbkit.core.routing.conditions import TOKEN, Found
from lbkit.core.routing.facts import Facts
from lbkit.core.routing.paths import encoded_path
from lbkit.core.text import did_you_mean

_SLOT = re.compile(r"\{([A-Za-z0-9_]*)\}")
_GIVEN = ("host", "path", "rest", "query")
# A URL with a fixed host or the request's own, and then a path, so that nothing extends the name of the host.
_URL = re.compile(
    r"(?:https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]|\{host\})(?::[0-9]{1,5})?(?=/|\?|\{path\}|\{rest\}|\{query\}|\Z)"
    r"|(?=/|\{path\}))(.*)"
)
_TEXT = re.compile(r"[!#$%&'()*+,./:;=?@A-Z\[\]_a-z~0-9{}-]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")  # a host that may stand in a URL
_FIXED = re.compile(r"(?i)connection|content-length|keep-alive|te|trailer|transfer-encoding|upgrade")


class Template:
    """A text with {host}, {path}, {query} (with its ?), {rest} and {1}, {2}, {name} in it. Raises ValueError.

    {rest}: what follows the `prefix` of the rule; the others are groups of its `regex`."""

    def __init__(self, field: str, text: str, url: bool = False) -> None:
        what = "a path such as /new{rest}" + (" or a URL such as https://{host}{path}{query}" if url else "")
        fits = _URL.fullmatch(text) if url else re.match(r"(/|\{path\}|\{rest\})", text)
        if not (fits and _TEXT.fullmatch(text)):
            raise ValueError(f"{field} is {text!r}: use {what}, in ASCII")
        if re.search(r"[{}]", _SLOT.sub("", text)):
            raise ValueError(f"{field} is {text!r}: a brace is left over; write {{name}}")
        self.field, self.text = field, text
        self.after_host = fits[1]
        self.names = frozenset(_SLOT.findall(text))

    def check(self, given: frozenset[str]) -> None:
        """Raise ValueError for a name that the rule's conditions do not give."""
        for name in sorted(self.names - given - {"host", "path", "query"}):
            near = did_you_mean(name, [*_GIVEN, *given])
            why = "which needs a prefix or path" if name == "rest" else "which no group of the regex gives"
            raise ValueError(f"{self.field} has {{{name}}}, {why} among the rule's conditions{near}")

    def fill(self, facts: Facts, found: Found) -> str:
        host = facts.host if _HOST.fullmatch(facts.host) else ""

        def value(slot: re.Match[str]) -> str:
            name = slot[1]
            if name == "host":
                return host
            if name == "query":
                return re.sub(r"[^!-~]|#", lambda odd: "%%%02X" % (ord(odd[0]) % 256), facts.query)
            return encoded_path(facts.path if name == "path" else found.get(name, ""))

        text = self.text
        if text.startswith("http"):
            if host or "host" not in self.names:
                return _SLOT.sub(value, text)
            text = self.after_host  # https:///x is taken for https://x
        return "/" + _SLOT.sub(value, text).lstrip("/")


@lru_cache(maxsize=4096)
def template(field: str, text: str, url: bool = False) -> Template:
    """Return the template, parsed once. Raises ValueError."""
    return Template(field, text, url)


def check_fields(field: str, fields: Mapping[str, str]) -> None:
    """Raise ValueError for a header field that would break a message, or that is not a rule's to write."""
    if not isinstance(fields, Mapping):
        raise ValueError(f"{field} is {fields!r}: use a table of header fields")
    for name, value in fields.items():
        check_name(field, name)
        if not isinstance(value, str) or not re.fullmatch(r"[\t\x20-\x7e]*", value):
            raise ValueError(f"{field}.{name} is {value!r}: use printable ASCII")
        if name.lower() == "host" and not _HOST.fullmatch(re.sub(r":\d{1,5}\Z", "", value)):
            raise ValueError(f"{field}.{name} is {value!r}: use a host, such as example.org")


def check_name(field: str, name: str) -> None:
    if not isinstance(name, str) or not TOKEN.match(name):
        raise ValueError(f"{field} has {name!r}: use the name of a header field, such as X-Area")
    if _FIXED.fullmatch(name):
        raise ValueError(f"{field} has {name!r}, which the proxy writes itself: leave it out")
