"""Rules of content switching in HAProxy's language.

HAProxy carries out all `http-request` lines before any `use_backend`, so that a redirect would come before an
earlier rule that chooses a backend. Hence the first lines only note which rule decides, the first that fits,
and all others ask for that. (HAProxy 2.6 configuration manual, 7: ACLs.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lbkit.core.routing import Redirect, Routing, Rule, Split, When
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.routing import check, edges, pattern, reply_of

PARTS = 10_000  # of a split
_HOST = "req.hdr(host),field(1,:),lower"
_SLOTS = {"host": f"%[{_HOST}]", "path": "%[path]", "query": "%[var(txn.mark)]%[query]"}


def quoted(text: str) -> str:
    """Return a text in quotes in which nothing is replaced."""
    if re.search(r"['\r\n]", text):
        raise PeerError(f"HAProxy has no text with ' or several lines here: {text!r}")
    return f"'{text}'"


class HaproxyRouting:
    """The lines of the frontend for the rules of an experiment. Raises PeerError."""

    def __init__(self, routing: Routing, blocks: Mapping[str, str]) -> None:
        check("HAProxy", routing)
        self.routing, self.blocks = routing, blocks

    def lines(self) -> str:
        lines: list[str] = []
        for i, rule in enumerate(self.routing.rules):
            acls = self._acls(rule.when, f"rule{i}")
            for j, one in enumerate(rule.unless):
                acls |= self._exception(one, f"rule{i}_unless{j}", rule.name)
            lines += [f"acl {name.lstrip('!')} {test}" for name, tests in acls.items() for test in tests]
            first = "!{ var(txn.rule) -m found }"
            lines.append(
                f"http-request set-var(txn.rule) str({i}) if {' '.join([first, *acls])}  # {rule.name}"
            )
        lines.append("http-request set-var(txn.mark) str(?) if { query -m found }")
        for i, rule in enumerate(self.routing.rules):
            decided = f"{{ var(txn.rule) -m str {i} }}"
            lines.append(f'http-after-response set-header X-Lbkit-Rule "{rule.name}" if {decided}')
            lines += self._outcome(rule, i, decided)
        return "".join(f"  {line}\n" for line in lines)

    def _outcome(self, rule: Rule, i: int, decided: str) -> list[str]:
        if isinstance(rule.then, Redirect):
            to = self._location(rule)
            return [f'http-request redirect location "{to}" code {rule.then.status} if {decided}']
        if reply := reply_of(rule):
            kind = reply.content_type.partition(";")[0]
            body = f" content-type {kind} string {quoted(reply.body.strip())}" if reply.body else ""
            return [f"http-request return status {reply.status}{body} if {decided}"]
        if isinstance(rule.then, Split):
            return self._split(rule.then, i, decided)
        return [f"use_backend {self.blocks[rule.then.pools[0]]} if {decided}"]

    def _split(self, split: Split, i: int, decided: str) -> list[str]:
        if split.key not in ("", "client"):
            raise PeerError(f"HAProxy cannot split by {split.key!r} here: use client, or an empty key")
        place = f"src,crc32(1),mod({PARTS})" if split.key else f"rand({PARTS})"
        lines = [f"http-request set-var(txn.place{i}) {place} if {decided}"]
        for pool, end in edges(split, PARTS):
            at = f"{{ var(txn.place{i}) -m int lt {end} }}"
            lines.append(f"use_backend {self.blocks[pool]} if {decided} {at}")
        return lines

    @staticmethod
    def _location(rule: Rule) -> str:
        assert isinstance(rule.then, Redirect)

        def value(slot: re.Match[str]) -> str:
            if slot[1] not in _SLOTS:
                raise PeerError(f"rule {rule.name!r}: HAProxy has no {slot[0]} here; use {{path}}")
            return _SLOTS[slot[1]]

        return re.sub(r"\{(\w*)\}", value, rule.then.to.replace("%", "%%"))

    def _exception(self, when: When, name: str, rule: str) -> dict[str, list[str]]:
        """Return an exception of one condition: HAProxy has no parentheses."""
        found = self._acls(when, name)
        if len(found) > 1:
            raise PeerError(
                f"rule {rule!r}: an exception has one condition in HAProxy here, not {len(found)}"
            )
        return {key[1:] if key.startswith("!") else f"!{key}": tests for key, tests in found.items()}

    def _acls(self, when: When, prefix: str) -> dict[str, list[str]]:
        """Return the conditions by name, each with the tests of which one has to hold (none, with a !)."""
        found: dict[str, list[str]] = {}

        def add(*tests: str, absent: bool = False) -> None:
            found[f"{'!' if absent else ''}{prefix}_{len(found)}"] = list(tests)

        if when.method:
            add(f"method {' '.join(when.method)}")
        if when.host:
            add(*(f"{_HOST} -m {_how(name)}" for name in when.host))
        if when.client:
            add(f"src {' '.join(when.client)}")
        if when.content_type:
            types = "|".join(re.escape(one).replace(r"\*", ".*") for one in when.content_type)
            add(f"req.fhdr(content-type) -m reg -i {quoted(f'^(?:{types})[ ]*(;|$)')}")
        sources = {"req.fhdr": when.header, "req.cook": when.cookie, "url_param": when.query}
        for read, fields in sources.items():
            for name, text in fields.items():
                if not re.fullmatch(r"[\w-]+", name, re.ASCII):
                    raise PeerError(f"HAProxy has no {name!r} here: use letters, digits, - and _")
                test = f"-m reg {quoted(pattern(text))}"
                add(f"{read}({name}) {test if text not in ('', '*') else '-m found'}", absent=not text)
        paths = [f"path -m str {quoted(path)}" for path in when.path]
        for top in when.prefix:
            stem = top.rstrip("/")
            paths += [f"path -m str {quoted(stem)}"] if stem else []
            paths.append(f"path -m beg {quoted(stem + '/')}")
        paths += [f"path -m reg {quoted(f'^(?:{one})$')}" for one in when.regex]
        if paths:
            add(*paths)
        return found


def _how(name: str) -> str:
    return f"end {name[1:]}" if name.startswith("*.") else f"str {name}"
