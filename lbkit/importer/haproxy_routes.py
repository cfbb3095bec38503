"""HAProxy's frontends as rules of content switching.

All `http-request` lines come first, then the old `redirect`, then `use_backend`, each in their order; the
first that ends the request decides. (HAProxy 2.6 configuration manual, 4.2.)
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from itertools import pairwise

from lbkit.core.routing import Action, Body, Fixed, Redirect, ToPool
from lbkit.importer.found import Unread
from lbkit.importer.haproxy import SECTIONS
from lbkit.importer.haproxy_acls import Acls
from lbkit.importer.rules import RuleList, not_imported

# What lines say that does not decide where requests go.
_ELSEWHERE = frozenset(
    """
    balance bind compression cookie default-server description email-alert errorfile fullconn
    hash-balance-factor hash-type http-after-response http-check http-response http-reuse id log maxconn
    mode monitor-uri no option redispatch retries retry-on server server-template stats stick stick-table
    timeout
    """.split()  # noqa: SIM905
)
_SLOTS = {
    "%[path]": "{path}",
    "%[query]": "?{query}",
    "%[url]": "{path}{query}",
    "%[req.hdr(host)]": "{host}",
}


@dataclass
class _Frontend:
    name: str
    acls: Acls = field(default_factory=Acls)
    # The lines that decide, in three groups, each with its words.
    first: list[tuple[Unread, list[str]]] = field(default_factory=list)
    redirects: list[tuple[Unread, list[str]]] = field(default_factory=list)
    backends: list[tuple[Unread, list[str]]] = field(default_factory=list)
    default: str = ""


@dataclass
class HaproxyRoutes:
    """Reads the rules of a frontend or listen section."""

    pools: set[str]  # of sections with servers
    unread: list[Unread]
    found: RuleList = field(default_factory=RuleList)
    notes: list[str] = field(default_factory=list)

    def read(self, file: str, text: str, name: str = "") -> str:
        """Read the rules of the section `name`, by default the first frontend; return its default backend."""
        frontends = self._sections(file, text)
        if not frontends:
            raise ValueError("no frontend or listen section")
        chosen = next((one for one in frontends if one.name == name), frontends[0] if not name else None)
        if chosen is None:
            raise ValueError(f"no frontend {name!r}: there are {', '.join(one.name for one in frontends)}")
        if others := [one.name for one in frontends if one is not chosen]:
            self.notes.append(f"frontends that are not imported: {', '.join(others)}")
        for source, words in (*chosen.first, *chosen.redirects, *chosen.backends):
            self._line(chosen, source, words)
        return chosen.default

    def _sections(self, file: str, text: str) -> list[_Frontend]:
        found: list[_Frontend] = []
        current: _Frontend | None = None
        for number, line in enumerate(text.splitlines(), 1):
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # a quote that is not closed: the reader of backends lists it
                continue
            if words and words[0] in SECTIONS:
                current = None
                if words[0] in ("frontend", "listen") and len(words) > 1:
                    current = _Frontend(words[1], default=words[1] if words[0] == "listen" else "")
                    found.append(current)
            elif words and current:
                self._sort(current, Unread(file, number, " ".join(words)), words)
        return found

    def _sort(self, frontend: _Frontend, source: Unread, words: list[str]) -> None:
        """Put a line into its group."""
        match words:
            case ["acl", *rest]:
                try:
                    frontend.acls.declare(rest)
                except ValueError as error:
                    self._refuse(source, error)
            case ["http-request", *rest]:
                frontend.first.append((source, rest))
            case ["redirect", *_]:
                frontend.redirects.append((source, words))
            case ["use_backend", *_]:
                frontend.backends.append((source, words))
            case ["default_backend", name]:
                frontend.default = name
            case [word, *_] if word not in _ELSEWHERE:
                self.unread.append(source)

    def _line(self, frontend: _Frontend, source: Unread, words: list[str]) -> None:
        at = next((i for i, word in enumerate(words) if word in ("if", "unless")), len(words))
        try:
            terms = frontend.acls.terms(words[at:])
        except ValueError as error:
            self._refuse(source, error)
            return
        try:
            then = self._action(words[:at])
        except ValueError as error:
            self._refuse(source, error)
            if not words or words[0] not in ("deny", "redirect", "return", "use_backend", "tarpit", "reject"):
                return  # it does not end the request
            then = not_imported(source.text)
        for when, unless in terms:
            try:
                self.found.add(source.text, then, when, unless)
            except ValueError as error:
                self._refuse(source, error)

    def _refuse(self, source: Unread, error: ValueError) -> None:
        why = str(error).splitlines()[0]
        self.unread.append(Unread(source.file, source.line, f"{source.text} ({why})"))

    def _action(self, words: list[str]) -> Action:
        match words:
            case ["use_backend", name]:
                if "%" in name or name not in self.pools:
                    raise ValueError(f"no section {name} with servers")
                return ToPool(name)
            case ["deny" | "tarpit" as how, *rest]:
                return Fixed(_after(rest, ("deny_status", "status"), 403 if how == "deny" else 500))
            case ["reject"]:
                raise ValueError("closes the connection without an answer")
            case ["redirect", kind, to, *rest]:
                code = _after(rest, ("code",), 302)
                return Redirect(_target(kind, to, "drop-query" in rest), code)
            case ["return", *rest]:
                text = rest[rest.index("string") + 1] if "string" in rest[:-1] else ""
                kind = rest[rest.index("content-type") + 1] if "content-type" in rest[:-1] else "text/plain"
                if set(rest) & {"file", "errorfile", "lf-file", "lf-string", "errorfiles"}:
                    raise ValueError("has a text from elsewhere")
                return Fixed(_after(rest, ("status",), 200), Body(text), kind)
        raise ValueError("no counterpart")


def _after(words: list[str], names: tuple[str, ...], usual: int) -> int:
    """Return the number after one of these words."""
    for name, value in pairwise(words):
        if name in names:
            if not re.fullmatch("[0-9]{3}", value):
                raise ValueError(f"{name} is no status")
            return int(value)
    return usual


def _target(kind: str, to: str, drop_query: bool) -> str:
    """Return the template of a redirect."""
    if kind == "scheme" and to in ("http", "https"):
        return f"{to}://{{host}}{{path}}{'' if drop_query else '{query}'}"
    if "{" in to or "}" in to:
        raise ValueError("has a brace in it")
    to = to.replace("%[query]", "").rstrip("?") + "{query}" if to.endswith("?%[query]") else to
    for slot, name in _SLOTS.items():
        to = to.replace(slot, name)
    if "%[" in to or "?{query}" in to:
        raise ValueError("has a part of the request without counterpart")
    to = to.replace("%%", "%")
    if kind == "location":
        return to
    if kind == "prefix":
        return f"{to.rstrip('/')}{{path}}{'' if drop_query else '{query}'}"
    raise ValueError(f"redirects by {kind}")
