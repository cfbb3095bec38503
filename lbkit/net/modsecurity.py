"""ModSecurity as the firewall's engine: libmodsecurity 3 through ctypes, with the OWASP Core Rule Set.

A request is a *transaction* of the library: it is told the connection, the URI, the fields and the body, and
says whether it would intervene; what its rules have found comes as lines of a log. Each transaction is freed
before `compare` returns, whatever happens.

It takes a millisecond or more for each request, about a hundred times as long as the rules of `core`, so it
should not run in an event loop. ctypes releases Python's lock during each call.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from functools import cache
from glob import glob
from typing import Any

from lbkit.core.firewall import Finding, Verdict
from lbkit.core.request_texts import EXCERPT, SECRET_FIELDS, Inspected, is_secret

LIBRARIES = ("libmodsecurity.so.3", "libmodsecurity.3.dylib")
HINT = "apt-get install libmodsecurity3 modsecurity-crs (macOS: brew install modsecurity)"
# The Core Rule Set as Debian installs it. Rules about answers are left out: only requests are looked at.
CORE_RULE_SET = (
    "/etc/modsecurity/crs/crs-setup.conf",
    "/usr/share/modsecurity-crs/rules/REQUEST-*.conf",
)
LONGEST_BODY = 128 * 1024  # bytes that rules see; the proxy holds less

# Before the rules of the files. Ids below 100,000 are for rules of a site's own.
_BEFORE = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecAuditEngine Off
SecRequestBodyLimit {longest}
SecRequestBodyNoFilesLimit {longest}
SecRequestBodyLimitAction ProcessPartial
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application/|text/)(?:[a-z.-]+\\+)?xml" \
 "id:10,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z.-]+\\+)?json" \
 "id:11,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:12,phase:1,t:none,pass,nolog,setvar:tx.inbound_anomaly_score_threshold={threshold},\
setvar:tx.paranoia_level={paranoia},setvar:tx.blocking_paranoia_level={paranoia}"
"""
_METHODS = "SecAction \"id:13,phase:1,t:none,pass,nolog,setvar:'tx.allowed_methods={methods}'\"\n"
_ANY_METHOD = 911100  # the rule about methods that are not allowed

_NOT_TOLD = frozenset(b"forwarded via x-forwarded-for x-forwarded-host x-forwarded-proto".split())  # our own
_SCORES = {2: 5, 3: 4, 4: 3, 5: 2}  # of a rule's severity, as the Core Rule Set counts
_LINE = re.compile(
    r'\[file "(?P<file>[^"]*)"\] \[line "\d+"\] \[id "(?P<id>\d+)"\] \[rev "[^"]*"\] '
    r'\[msg "(?P<msg>[^"]*)"\] \[data "(?P<data>[^"]*)"\] \[severity "(?P<severity>\d)"\]'
)
_DATA = re.compile(r"Matched Data: (.*?) found within ([A-Z_]+)(?::([^:]*))?:", re.DOTALL)
_VARIABLE = re.compile(r"against variable `([A-Z_]+)(?::([^']*))?'")
_PARTS = {"ARGS": "argument", "ARGS_GET": "argument", "ARGS_POST": "argument", "REQUEST_HEADERS": "field"}
_TOTAL = re.compile(r"Total Score: (\d+)")
_EVALUATION = "BLOCKING-EVALUATION"  # the file of the rules that only add up


class ModSecurityError(ValueError):
    """Raised if the library is missing, or for rules that it cannot read."""


class _Intervention(ctypes.Structure):
    _fields_ = (
        ("status", c_int),
        ("pause", c_int),
        ("url", c_void_p),
        ("log", c_void_p),
        ("disruptive", c_int),
    )


_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "msc_init": (c_void_p, ()),
    "msc_cleanup": (None, (c_void_p,)),
    "msc_set_log_cb": (None, (c_void_p, c_void_p)),
    "msc_create_rules_set": (c_void_p, ()),
    "msc_rules_add": (c_int, (c_void_p, c_char_p, POINTER(c_char_p))),
    "msc_rules_add_file": (c_int, (c_void_p, c_char_p, POINTER(c_char_p))),
    "msc_rules_cleanup": (c_int, (c_void_p,)),
    "msc_new_transaction": (c_void_p, (c_void_p, c_void_p, c_void_p)),
    "msc_transaction_cleanup": (None, (c_void_p,)),
    "msc_process_connection": (c_int, (c_void_p, c_char_p, c_int, c_char_p, c_int)),
    "msc_process_uri": (c_int, (c_void_p, c_char_p, c_char_p, c_char_p)),
    "msc_add_n_request_header": (c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
    "msc_process_request_headers": (c_int, (c_void_p,)),
    "msc_append_request_body": (c_int, (c_void_p, c_char_p, c_size_t)),
    "msc_process_request_body": (c_int, (c_void_p,)),
    "msc_intervention": (c_int, (c_void_p, c_void_p)),
}
_LogCallback = CFUNCTYPE(None, c_void_p, c_char_p)
_free = ctypes.CDLL(None).free
_free.argtypes, _free.restype = (c_void_p,), None


@cache
def library() -> Any:
    """Return the library with the types of its functions. Raises OSError if it is missing."""
    for name in LIBRARIES:
        with suppress(OSError):
            found = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                made = getattr(found, function)
                made.restype, made.argtypes = result, arguments
            return found
    raise OSError("libmodsecurity is missing")


def why_not() -> str:
    """Return how to get the library, or empty if it is here."""
    try:
        library()
    except OSError:
        return f"modsecurity needs the library libmodsecurity ({HINT})"
    return ""


class ModSecurity:
    """The library with rules. Not for several threads at once: its log has one reader."""

    def __init__(
        self,
        rules: Sequence[str] = CORE_RULE_SET,
        *,
        threshold: int = 5,
        paranoia: int = 1,
        methods: Iterable[str] = (),
        off: Iterable[int] = (),
    ) -> None:
        """`rules`: files, or patterns of files, in their order. `paranoia`: 1 to 4; more is found, and
        more false alarms. `off`: ids of rules that are not used. Raises ModSecurityError."""
        if why := why_not():
            raise ModSecurityError(why)
        self._library = library()
        self._lines: list[str] = []
        # Both must live as long as the library may call them.
        self._log = _LogCallback(lambda _, line: self._lines.append(line.decode("utf-8", "replace")))
        self._engine = self._library.msc_init()
        self._library.msc_set_log_cb(self._engine, ctypes.cast(self._log, c_void_p))
        self._rules = self._library.msc_create_rules_set()
        named = " ".join(methods)
        removed = [*off] if named else [*off, _ANY_METHOD]
        try:
            self._add(preamble(threshold, paranoia, named))
            for file in files_of(rules):
                self._add_file(file)
            self._add("".join(f"SecRuleRemoveById {number}\n" for number in removed))
        except BaseException:
            self.close()
            raise

    def _add(self, text: str) -> None:
        error = c_char_p()
        if text and self._library.msc_rules_add(self._rules, text.encode(), byref(error)) < 0:
            raise ModSecurityError(_plainly(error))

    def _add_file(self, file: str) -> None:
        error = c_char_p()
        if self._library.msc_rules_add_file(self._rules, file.encode(), byref(error)) < 0:
            raise ModSecurityError(f"{file}: {_plainly(error)}")

    def compare(self, request: Inspected, body: bytes = b"", content_type: bytes = b"") -> Verdict:
        """Return the verdict about a request, and about as much of its body as is given."""
        self._lines.clear()
        transaction = self._library.msc_new_transaction(self._engine, self._rules, None)
        try:
            status = self._run(transaction, request, body)
        finally:
            self._library.msc_transaction_cleanup(transaction)
        found = [finding for line in self._lines if (finding := read_line(line))]
        totals = [int(total[1]) for line in self._lines if (total := _TOTAL.search(line))]
        score = max(totals, default=sum(finding.score for finding in found))
        return Verdict(status, score, tuple(found))

    def _run(self, transaction: int, request: Inspected, body: bytes) -> int:
        """Pass a request through both phases; return the status of the answer that refuses it, or 0."""
        msc = self._library
        msc.msc_process_connection(transaction, request.client.encode(), 0, b"127.0.0.1", 0)
        msc.msc_process_uri(transaction, request.target, request.method, b"1.1")
        for name, value in request.fields():
            if name not in _NOT_TOLD:
                msc.msc_add_n_request_header(transaction, name, len(name), value, len(value))
        if request.length < 0:
            msc.msc_add_n_request_header(transaction, b"transfer-encoding", 17, b"chunked", 7)
        msc.msc_process_request_headers(transaction)
        if status := self._intervention(transaction):
            return status
        if body:
            msc.msc_append_request_body(transaction, body, len(body))
        msc.msc_process_request_body(transaction)
        return self._intervention(transaction)

    def _intervention(self, transaction: int) -> int:
        said = _Intervention(200, 0, None, None, 0)
        self._library.msc_intervention(transaction, byref(said))
        for text in (said.log, said.url):
            if text:
                self._lines.append(ctypes.string_at(text).decode("utf-8", "replace"))
                _free(text)
        if not said.disruptive:
            return 0
        return said.status if 400 <= said.status <= 599 else 403  # no redirects: their target is unknown

    def close(self) -> None:
        """Free the rules and the library's state; call it once, when nothing is being compared."""
        self._library.msc_rules_cleanup(self._rules)
        self._library.msc_cleanup(self._engine)


def preamble(threshold: int = 5, paranoia: int = 1, methods: str = "") -> str:
    """Return the rules before those of files: the engine's settings, and those of the Core Rule Set."""
    text = _BEFORE.format(longest=LONGEST_BODY, threshold=threshold, paranoia=paranoia)
    return text + _METHODS.format(methods=methods) * bool(methods)


def files_of(patterns: Sequence[str]) -> list[str]:
    """Return the files that these patterns name. Raises ModSecurityError for one that names none."""
    found: list[str] = []
    for pattern in patterns:
        files = sorted(glob(pattern))
        if not files:
            raise ModSecurityError(f"no file is {pattern!r}: {HINT}, or name rules of your own")
        found += files
    return found


def _plainly(error: c_char_p) -> str:
    return " ".join((error.value or b"unknown error").decode("utf-8", "replace").split())


def read_line(line: str) -> Finding | None:
    """Return what a line of the log says, or None for one that only adds up.

    Cookies and arguments with a secret's name are hidden. A line quotes the request, but cuts it before it
    could look like the rest of a line."""
    found = _LINE.search(line)
    if found is None or _EVALUATION in found["file"]:
        return None
    excerpt, variable, name = found["msg"], "", ""
    if matched := _DATA.search(found["data"]):
        excerpt, variable, name = matched.groups()
    elif against := _VARIABLE.search(line):
        variable, name = against.groups()
    name = (name or "").lower()
    hidden = "COOKIE" in variable or variable == "REQUEST_BODY" or is_secret(name)
    hidden = hidden or name.encode("utf-8", "replace") in SECRET_FIELDS
    part = f"{_PARTS.get(variable, variable.lower() or 'request')} {name}".strip()
    return Finding(
        int(found["id"]),
        _attack(found["file"]),
        _SCORES.get(int(found["severity"]), 0),
        part[: EXCERPT + 20],
        "[hidden]" if hidden else excerpt[:EXCERPT],
    )


def _attack(file: str) -> str:
    """Return the kind of attack that a file is about: "sqli" of REQUEST-942-APPLICATION-ATTACK-SQLI.conf."""
    name = file.rpartition("/")[2].removesuffix(".conf")
    return re.sub(r"^REQUEST-\d+-(?:APPLICATION-ATTACK-)?", "", name).lower()[:40]
