"""Header fields, cache directives, entity tags and dates, read so that no input raises."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

PROHIBITIONS = frozenset(("no-store", "no-cache", "private"))
FOREVER = 2**31  # seconds; what is longer is this (RFC 9111, 1.2.2)

_LINE = re.compile(rb"\r\n([^:\r\n]+):[ \t]*([^\r\n]*)")
_DIRECTIVE = re.compile(
    r"""([!#$%&'*+.^_`|~\w-]+)                            # a name
        (?: = (?: "((?:[^"\\]|\\.)*)" | ([^\s,"]*) ) )?   # its argument, quoted or not
        [^,]*                                             # anything else is ignored, up to the comma""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_TAG = re.compile(r'(?:W/)?"[^"]*"')


class Fields:
    """The header fields of a message, in order, with names in lower case."""

    __slots__ = ("_by_name", "_control", "pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = tuple((name.lower(), value.strip(" \t")) for name, value in pairs)
        # Made when they are asked for, and kept: a proxy sees the same fields again and again.
        self._by_name: dict[str, str] | None = None
        self._control: Directives | None = None

    @classmethod
    def of_head(cls, head: bytes) -> Fields:
        """Return the fields of an HTTP/1.1 head: a start line, then the fields, each after a CRLF."""
        found = _LINE.findall(head)
        return cls((name.decode("latin-1"), value.decode("latin-1")) for name, value in found)

    def get(self, name: str) -> str | None:
        """Return the values of a field, joined by commas as one list; None without the field."""
        return (self._by_name or self._index()).get(name)

    @property
    def names(self) -> Collection[str]:
        return (self._by_name or self._index()).keys()

    def _index(self) -> dict[str, str]:
        found = self._by_name = {}
        for name, value in self.pairs:
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def control(self) -> Directives:
        """The directives of Cache-Control."""
        if self._control is None:
            self._control = Directives.of(self)
        return self._control

    def without(self, names: Iterable[str]) -> Fields:
        names = frozenset(names)
        return Fields(pair for pair in self.pairs if pair[0] not in names)

    def and_also(self, *pairs: tuple[str, str]) -> Fields:
        return Fields((*self.pairs, *pairs))

    def __contains__(self, name: str) -> bool:
        return name in (self._by_name or self._index())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    @property
    def size(self) -> int:
        """Bytes of these fields in an HTTP/1.1 head."""
        return sum(len(name) + len(value) + 4 for name, value in self.pairs)


class Request(NamedTuple):
    """The part of a request that a cache decides by."""

    method: str
    uri: str  # the whole target URI: scheme, authority, path and query
    fields: Fields = Fields()
    partition: str = ""  # requests of different partitions never share a response, such as those of a canary


class Response(NamedTuple):
    """The head of a response."""

    status: int
    fields: Fields = Fields()


class Directives(dict[str, str]):
    """The directives of Cache-Control by name, in lower case; the argument is "" where there is none.

    Contradictory arguments count as none. That is the careful reading: a lifetime without a number is 0
    seconds, `private` and `no-cache` without field names are about the whole response. A prohibition
    between quotes counts, as in `max-age=", no-store="5"`: a quote is missing, or it is one too many."""

    @classmethod
    def of(cls, fields: Fields) -> Directives:
        found = cls()
        value = fields.get("cache-control") or ""
        for match in _DIRECTIVE.finditer(value):
            name, quoted, plain = match.groups()
            argument = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain or ""
            if found.setdefault(name.lower(), argument) != argument:
                found[name.lower()] = ""
        if '"' in value:
            for name in members(re.sub(r"=[^,]*", "", value)) & PROHIBITIONS:
                found.setdefault(name, "")
        return found

    def seconds(self, name: str) -> int | None:
        """Return a directive's seconds: None without the directive, 0 if the argument is no number."""
        argument = self.get(name)
        return None if argument is None else seconds(argument) or 0

    def names(self, name: str) -> frozenset[str]:
        """Return the field names in a directive's argument."""
        return members(self.get(name))


def members(value: str | None) -> frozenset[str]:
    """Return the members of a list field, in lower case."""
    return frozenset(part.strip().lower() for part in (value or "").split(",")) - {""}


def seconds(text: str | None) -> int | None:
    """Return delta-seconds, at most FOREVER; None if `text` has another form."""
    if text is None or not re.fullmatch("[0-9]+", text):
        return None
    digits = text.lstrip("0")
    return FOREVER if len(digits) > 10 else min(int(digits or "0"), FOREVER)


# -- entity tags (RFC 9110, 8.8.3) -------------------------------------------------------------------


def opaque(tag: str) -> str:
    """Return a tag without its W/ mark: tags with equal opaque parts are equal in the weak comparison."""
    return tag.removeprefix("W/")


def tags(value: str) -> frozenset[str]:
    """Return the opaque parts of the entity tags in If-None-Match."""
    return frozenset(opaque(tag) for tag in _TAG.findall(value))


# -- dates (RFC 9110, 5.6.7) --------------------------------------------------------------------------

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS = [
    re.compile(form.replace(" CLOCK", " " + _CLOCK), re.ASCII)
    for form in (
        r"[A-Z][a-z]{2}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) CLOCK GMT",  # IMF-fixdate
        r"[A-Z][a-z]{5,8}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{2})-(?P<year>\d\d) CLOCK GMT",  # RFC 850
        r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) CLOCK (?P<year>\d{4})",  # asctime
    )
]


def parse_date(text: str | None) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is none."""
    for form in _FORMS if text else ():
        if found := form.fullmatch(text or ""):
            year = int(found["year"])
            if len(found["year"]) == 2:
                year += 2000 if year < 70 else 1900
            try:
                month = _MONTHS.index(found["month"]) + 1
                second = min(int(found["second"]), 59)  # a leap second has no number in POSIX time
                at = datetime(
                    year,
                    month,
                    int(found["day"]),
                    int(found["hour"]),
                    int(found["minute"]),
                    second,
                    tzinfo=UTC,
                )
            except ValueError:
                return None
            return at.timestamp()
    return None


def format_date(at: float) -> str:
    """Return a moment in seconds since 1970 as an HTTP date. Raises ValueError after the year 9999."""
    t = datetime.fromtimestamp(at, UTC)
    return f"{_DAYS[t.weekday()]}, {t.day:02} {_MONTHS[t.month - 1]} {t.year:04} {t:%H:%M:%S} GMT"
