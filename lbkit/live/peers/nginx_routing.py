"""Rules of content switching in nginx's language.

nginx's locations choose the longest prefix, in an order of their own; `map`s are closer to a table of rules.
The one of a condition gives 1 where it holds, the values of all rules in a row are a word, and the first 1 in
the word is the rule that decides. (ngx_http_map_module, ngx_http_split_clients_module.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain

from lbkit.core.routing import Redirect, Reply, Routing, Rule, Split, When
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.routing import check, edges, pattern, reply_of

Maps = list[tuple[str, str, list[str]]]  # keyword and what is looked at, the variable, the lines

# The values of exceptions, each in its group: no group is of ones only.
NO_EXCEPTION = r"(-(?!1+(-|$))[01]+)*"


def quoted(text: str) -> str:
    """Return a text in quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(text: str) -> str:
    """Return a text in quotes where variables would be replaced, which nginx cannot turn off."""
    if "$" in text:
        raise PeerError(f"nginx takes the $ in {text!r} for a variable: leave it out")
    return quoted(text)


def regex(text: str) -> str:
    return quoted(f"~(?s){text}")


class NginxRouting:
    """The lines of `http` and of `location` for the rules of an experiment. Raises PeerError."""

    def __init__(self, routing: Routing, blocks: Mapping[str, str], keys: Mapping[str, str]) -> None:
        check("nginx", routing)
        self.routing, self.blocks, self.keys = routing, blocks, keys

    def maps(self) -> str:
        """Return what stands in `http`: which rule decides, and which pool it chooses."""
        lines, word = [], ""
        rules, pools = ['default "";'], [f"default {self.blocks['default']};"]
        for i, rule in enumerate(self.routing.rules):
            groups = [self._conditions(rule.when, f"when{i}")]
            groups += [self._conditions(one, f"unless{i}_{j}") for j, one in enumerate(rule.unless)]
            for what, variable, cases in chain.from_iterable(groups):
                lines += [f"{what} {variable} {{", *(f"  {case}" for case in cases), "}"]
            if any(groups):
                values = "-".join("".join(variable for _, variable, _ in group) for group in groups)
                fits = "1" * len(groups[0]) + NO_EXCEPTION
                lines += [f'map "{values}" $fits{i} {{ default 0; "~^{fits}$" 1; }}  # {rule.name}']
                word += f"${{fits{i}}}"
            else:
                word += "1"
            rules.append(f'"~^{"0" * i}1" "{rule.name}";')
            if isinstance(rule.then, Split):
                lines += self._split(rule.then, i)
                pools.append(f'"{rule.name}" $split{i};')
            elif rule.then.pools:
                pools.append(f'"{rule.name}" {self.blocks[rule.then.pools[0]]};')
        lines += [f'map "{word}" $rule {{', *(f"  {line}" for line in rules), "}"]
        lines += ["map $rule $pool {", *(f"  {line}" for line in pools), "}"]
        return "".join(f"  {line}\n" for line in lines)

    def answers(self) -> str:
        """Return what stands in `location`: the answers without a backend."""
        lines = ["add_header X-Lbkit-Rule $rule always;"]
        for rule in self.routing.rules:
            if isinstance(rule.then, Redirect):
                said = f"return {rule.then.status} {self._location(rule)};"
            elif reply := reply_of(rule):
                said = self._return(reply)
            else:
                continue
            lines.append(f'if ($rule = "{rule.name}") {{ {said} }}')
        return "".join(f"      {line}\n" for line in lines)

    @staticmethod
    def _return(reply: Reply) -> str:
        return f"return {reply.status} {literal(reply.body)};" if reply.body else f"return {reply.status};"

    def _location(self, rule: Rule) -> str:
        """Return where a redirect leads."""
        assert isinstance(rule.then, Redirect)
        slots = {"host": "$host", "path": "$uri", "query": "$is_args$args"}

        def value(slot: re.Match[str]) -> str:
            if slot[1] not in slots:
                raise PeerError(f"rule {rule.name!r}: nginx has no {slot[0]} here; use {{path}}")
            return slots[slot[1]]

        return '"' + re.sub(r"\{(\w*)\}", value, rule.then.to) + '"'

    def _split(self, split: Split, i: int) -> list[str]:
        kind, _, name = split.key.partition(":")
        if split.key and kind not in self.keys:
            raise PeerError(
                f"nginx cannot split by {split.key!r} here: use {', '.join(self.keys)} or an empty key"
            )
        key = self.keys[kind].replace("{name}", _variable(name)) if split.key else "$request_id"
        ends, before, lines = edges(split, 10_000), 0, []
        for pool, end in ends[:-1]:
            lines.append(f"  {(end - before) / 100:g}% {self.blocks[pool]};")
            before = end
        return [
            f'split_clients {literal(split.salt)[:-1]}{key}" $split{i} {{',
            *lines,
            f"  * {self.blocks[ends[-1][0]]};",
            "}",
        ]

    def _conditions(self, when: When, name: str) -> Maps:
        """Return a map for each condition, which gives its variable the value 1 or 0."""
        found: Maps = []

        def add(what: str, cases: list[str]) -> None:
            found.append((what, f"${name}_{len(found)}", ["default 0;", *(f"{case} 1;" for case in cases)]))

        if when.method:
            add("map $request_method", list(when.method))
        if when.host:
            add("map $host", list(when.host))
            found[-1][2].insert(0, "hostnames;")
        if when.client:
            add("geo $remote_addr", list(when.client))
        if when.content_type:
            types = [re.escape(one).replace(r"\*", ".*") for one in when.content_type]
            add("map $content_type", [quoted(f"~*^{one}[ \t]*(;|$)") for one in types])
        for read, fields in {"http": when.header, "cookie": when.cookie, "arg": when.query}.items():
            for key, text in fields.items():
                cases = [regex(pattern(text))] if text else ['""']
                add(f"map ${read}_{_variable(key)}", cases)
                if text:
                    found[-1][2].insert(1, '"" 0;')  # absent
        paths = [quoted(f"~^{re.escape(path)}$") for path in when.path]
        paths += [quoted(f"~^{re.escape(top.rstrip('/'))}(/|$)") for top in when.prefix]
        paths += [regex(f"^(?:{one})$") for one in when.regex]
        if paths:
            add("map $uri", paths)
        return found


def _variable(name: str) -> str:
    """Return a name as it stands in the name of a variable."""
    variable = name.lower().replace("-", "_")
    if not re.fullmatch(r"\w+", variable, re.ASCII) and name:
        raise PeerError(f"nginx has no variable for {name!r}: use letters, digits, - and _")
    return variable
