"""HAProxy's conditions as conditions of rules: named ACLs, and those in braces."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from lbkit.core.routing import When
from lbkit.importer.rules import anywhere

MOST_TERMS = 32  # of a condition with `or` in it

# Criterion of a path -> how its texts are compared; other criteria have the way after -m, or compare all.
_WAYS = ("str", "beg", "end", "sub", "reg", "dir", "found")
_PATH = re.compile(r"path(?:_(beg|end|sub|reg|dir))?")
_FIELD = re.compile(r"(?:req\.)?f?hdr(?:_(beg|end|sub|reg))?\(([\w-]+)(?:,1)?\)", re.IGNORECASE)
_OTHER = re.compile(r"(req\.cook|cook|url_param|urlp)(?:_(beg|end|sub|reg))?\(([\w.-]+)\)")
_PREDEFINED = {
    "METH_GET": ("GET", "HEAD"),
    **{f"METH_{name}": (name,) for name in ("CONNECT", "DELETE", "HEAD", "OPTIONS", "POST", "PUT", "TRACE")},
}


@dataclass
class Acls:
    """The ACLs of a section. One that is declared several times holds if any of its tests does."""

    named: dict[str, list[When | ValueError]] = field(default_factory=dict)

    def declare(self, words: list[str]) -> None:
        """`acl NAME criterion [flags] patterns...` Raises ValueError, also whenever it is used then."""
        if len(words) < 2:
            raise ValueError("has no criterion")
        tests = self.named.setdefault(words[0], [])
        try:
            tests.append(test_of(words[1:]))
        except ValueError as error:
            tests.append(error)
            raise

    def terms(self, words: list[str]) -> list[tuple[When, tuple[When, ...]]]:
        """Return a condition as alternatives, each with what must hold and what must not. Raises ValueError.

        No words: one alternative without conditions."""
        if not words:
            return [(When(), ())]
        way, *rest = words
        if way not in ("if", "unless"):
            raise ValueError("has more than a condition")
        terms = [term for part in _split(rest) for term in self._and(part)]
        if way == "unless":
            if any(negative for _, negative in terms):
                raise ValueError("negates a negation")
            return [(When(), tuple(positive for positive, _ in terms))]
        if len(terms) > MOST_TERMS:
            raise ValueError(f"has more than {MOST_TERMS} alternatives")
        return terms

    def _and(self, words: list[str]) -> list[tuple[When, tuple[When, ...]]]:
        positive: list[list[When]] = []
        negative: list[When] = []
        for negated, tests in self._tests(words):
            if negated:
                negative += tests
            else:
                positive.append(tests)
        found = []
        for some in product(*positive):
            found.append((both(some), tuple(negative)))
            if len(found) > MOST_TERMS:
                break
        return found

    def _tests(self, words: list[str]) -> list[tuple[bool, list[When]]]:
        found: list[tuple[bool, list[When]]] = []
        left = list(words)
        while left:
            word = left.pop(0)
            negated = word.startswith("!")
            word = word.removeprefix("!")
            if not word and left:
                word = left.pop(0)
            if word == "{":
                if "}" not in left:
                    raise ValueError("has a brace that is not closed")
                end = left.index("}")
                found.append((negated, [test_of(left[:end])]))
                left = left[end + 1 :]
            elif word in self.named:
                tests = self.named[word]
                if error := next((one for one in tests if isinstance(one, ValueError)), None):
                    raise ValueError(f"uses {word}, which {error}")
                found.append((negated, [one for one in tests if isinstance(one, When)]))
            elif word in _PREDEFINED:
                found.append((negated, [When(method=_PREDEFINED[word])]))
            elif word == "TRUE" and not negated:
                pass
            else:
                raise ValueError(f"uses {word}, which is not known")
        return found


def _split(words: list[str]) -> list[list[str]]:
    """Return the parts between each `or` and ||."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("or", "||"):
            parts.append([])
        elif word not in ("and", "&&"):
            parts[-1].append(word)
    if not all(parts):
        raise ValueError("has an empty condition")
    return parts


def both(tests: tuple[When, ...]) -> When:
    """Return the condition that all tests hold. Raises ValueError for two about one part of a request."""
    fields: dict[str, Any] = {}
    for test in tests:
        for name in ("host", "method", "client", "path", "prefix", "regex", "content_type"):
            if value := getattr(test, name):
                kind = "path" if name in ("path", "prefix", "regex") else name
                if kind in {"path" if n in ("path", "prefix", "regex") else n for n in fields}:
                    raise ValueError(f"has two conditions on the {kind}, of which a rule has one")
                fields[name] = value
        for name in ("header", "cookie", "query"):
            if value := getattr(test, name):
                before = fields.setdefault(name, {})
                if value.keys() & before.keys():
                    raise ValueError(f"has two conditions on one {name}, of which a rule has one")
                before.update(value)
    return When(**fields)


def test_of(words: list[str]) -> When:
    """Return one test: a criterion, flags, and texts of which any may fit. Raises ValueError."""
    criterion, *rest = words
    how, ignore_case = "", False
    patterns: list[str] = []
    while rest:
        word = rest.pop(0)
        if patterns or not word.startswith("-"):
            patterns.append(word)
        elif word == "-i":
            ignore_case = True
        elif word == "-m" and rest:
            how = rest.pop(0)
        elif word == "--":
            patterns += rest
            break
        else:
            raise ValueError(f"has the flag {word}")
    if how and how not in _WAYS:
        raise ValueError(f"compares with -m {how}")
    if how != "found" and not patterns:
        raise ValueError("compares with nothing")
    name, _, conversion = criterion.partition(",")
    if name == "path" or _PATH.fullmatch(name):
        return _path(_conversion(conversion, ignore_case), how or _PATH.fullmatch(name)[1] or "str", patterns)  # type: ignore[index]
    if name in ("method", "src") and not how and not conversion:
        return When(method=tuple(patterns)) if name == "method" else When(client=tuple(patterns))
    if match := _FIELD.fullmatch(name):
        if match[2].lower() == "host":
            plain = re.fullmatch(r"((field\(1,:\)|host_only)?,?(lower)?)?", conversion)
            return _host(how or match[1] or "str", patterns) if plain else _refused(conversion)
        case = _conversion(conversion, ignore_case)
        return When(header={match[2]: _value(how or match[1] or "str", patterns, case)})
    if match := _OTHER.fullmatch(name):
        value = _value(how or match[2] or "str", patterns, _conversion(conversion, ignore_case))
        return When(cookie={match[3]: value}) if "cook" in match[1] else When(query={match[3]: value})
    raise ValueError(f"asks for {criterion}, which has no counterpart")


def _refused(conversion: str) -> When:
    raise ValueError(f"converts by {conversion}")


def _conversion(text: str, ignore_case: bool) -> bool:
    if text not in ("", "lower"):
        _refused(text)
    return ignore_case or text == "lower"


def expression(how: str, pattern: str, ignore_case: bool) -> str:
    """Return a comparison as an expression for the whole text."""
    if how == "reg":
        return anywhere(pattern, ignore_case)
    text = re.escape(pattern)
    ways = {"str": text, "beg": f"{text}.*", "end": f".*{text}", "sub": f".*{text}.*"}
    if how not in ways:
        raise ValueError(f"compares with -m {how}")
    return ("(?i)" if ignore_case else "") + ways[how]


def _path(ignore_case: bool, how: str, patterns: list[str]) -> When:
    if how == "found":
        raise ValueError("asks whether there is a path")
    if how == "str" and not ignore_case:
        return When(path=tuple(patterns))
    if how == "beg" and patterns == ["/"]:
        return When(prefix=("/",))
    if how == "dir":  # the last part of the path, or one before
        names = [pattern.strip("/") for pattern in patterns]
        ends = [expression("end", f"/{name}", ignore_case) for name in names]
        return When(regex=(*ends, *(expression("sub", f"/{name}/", ignore_case) for name in names)))
    return When(regex=tuple(expression(how, pattern, ignore_case) for pattern in patterns))


def _host(how: str, patterns: list[str]) -> When:
    names = [pattern.lower() for pattern in patterns]
    if how == "end" and all(name.startswith(".") for name in names):
        return When(host=tuple(f"*{name}" for name in names))
    if how != "str":
        raise ValueError(f"compares hosts with {how}; rules have whole names, and *.example.org")
    return When(host=tuple(name.partition(":")[0] for name in names))


def _value(how: str, patterns: list[str], ignore_case: bool) -> str:
    if how == "found":
        return "*"
    parts = [expression(how, pattern, False) for pattern in patterns]
    return f"~{'(?i)' if ignore_case else ''}" + (parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})")
