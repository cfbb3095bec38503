"""The health checks of haproxy.cfg as CheckRules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lbkit.core.health.checks import CheckRules
from lbkit.core.health.probe import Probe
from lbkit.importer.found import as_whole

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Options of a server that say how it is checked, each with a value.
_WORDS = {"inter", "fastinter", "downinter", "rise", "fall", "port"}
_FLAGS = {"check", "no-check", "check-ssl"}


def seconds(text: str) -> float | None:
    """Return one of HAProxy's times, which are in ms without a unit; None for any other text."""
    found = re.fullmatch(r"([0-9]{1,12})(us|ms|s|m|h|d)?", text)
    return int(found[1]) * _UNITS[found[2] or "ms"] if found else None


@dataclass
class Checks:
    """What a section says about the checks of its servers."""

    http: bool = False  # or only a connection
    method: str = "OPTIONS"
    path: str = "/"
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    expect: str = "200-399"
    body: str = ""
    timeout: float = 0.0  # 0: the interval

    def read(self, words: list[str]) -> bool:
        """Take a line of a section, if it is one about checks; return whether it was understood."""
        match words:
            case ["option", "httpchk"]:
                pass
            case ["option", "httpchk", path]:
                self.path = path
            case ["option", "httpchk", method, path, *_]:
                self.method, self.path = method, path
            case ["http-check", "send", *how]:
                return self._send(how)
            case ["http-check", "expect", "status", statuses] if re.fullmatch(r"[0-9,-]+", statuses):
                self.expect = statuses
                return True
            case ["http-check", "expect", "string", text]:
                self.body = text
                return True
            case ["timeout", "check", time] if found := seconds(time):
                self.timeout = found
                return True
            case _:
                return False
        self.http = True
        return True

    def _send(self, words: list[str]) -> bool:
        """Take what `http-check send` says; return whether all of it was understood."""
        left = iter(words)
        for word in left:
            value = next(left, "")
            if word == "meth":
                self.method = value
            elif word == "uri":
                self.path = value
            elif word == "hdr" and value.lower() == "host":
                self.host = next(left, "")
            elif word == "hdr":
                self.headers[value] = next(left, "")
            elif word != "ver":
                return False
        return True

    def rules(self, words: dict[str, str], notes: list[str]) -> CheckRules:
        """Return the rules of a server that is checked. Raises ValueError for what has no counterpart."""
        interval = _time(words, "inter") or 2.0
        fast, down = _time(words, "fastinter"), _time(words, "downinter")
        shortest = min(interval, fast or interval, down or interval)
        if self.timeout > shortest:
            notes.append(
                f"timeout check of {self.timeout:g} s is imported as {shortest:g} s, the shortest interval"
            )
        port = _number(words, "port", 0) or None
        if self.http:
            what = (self.method, self.path, self.host, self.expect, self.body, self.headers)
            probe = Probe("http", *what, port)
        else:
            probe = Probe("tls" if "check-ssl" in words else "tcp", port=port)
        return CheckRules(
            interval,
            min(self.timeout or shortest, shortest),
            _number(words, "rise", 2),
            _number(words, "fall", 3),
            fast,
            down,
            start="up",  # HAProxy's default
            probe=probe,
        )


def server_checks(options: list[str]) -> tuple[dict[str, str] | None, list[str]]:
    """Return the options of a server about checks, by their names, and its other options.

    None instead for a server that is not checked; all of its options are then left."""
    split = [option.partition(" ") for option in options]
    switches = [name for name, _, _ in split if name in ("check", "no-check")]
    if switches[-1:] != ["check"]:
        return None, [option for option in options if option != "no-check"]
    words = {name: value for name, _, value in split if name in _WORDS | _FLAGS}
    return words, [option for option in options if option.partition(" ")[0] not in words]


def _number(words: dict[str, str], name: str, default: int) -> int:
    found = as_whole(words.get(name, str(default)))
    if found is None:
        raise ValueError(f"{name} {words[name]} is not a whole number")
    return found


def _time(words: dict[str, str], name: str) -> float | None:
    if name not in words:
        return None
    found = seconds(words[name])
    if not found:
        raise ValueError(f"{name} {words[name]} is not a time")
    return found
