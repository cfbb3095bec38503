"""Tables of HTTP/1.1: the header fields that matter to a proxy, and the syntax of methods, targets and hosts.

CGI, WSGI and similar interfaces turn `-` into `_`, so X_Forwarded_For reaches an application as if it were
X-Forwarded-For. A field name with underscores that matches a table here with hyphens is called a twin: the
proxy ignores it and never forwards it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv6Address

HEAD_END = b"\r\n\r\n"

# Hop-by-hop fields, which are never forwarded. (RFC 9110, 7.6.1 and appendix B.)
HOP_BY_HOP = frozenset(
    b"connection http2-settings keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
# Fields that identify the client and its original request. They are dropped from untrusted clients.
# Each proxy extends the first four, so they are written anew.
EXTENDED = frozenset(b"forwarded x-forwarded-for x-forwarded-host x-forwarded-proto".split())
IDENTITY = EXTENDED | frozenset(
    b"cf-connecting-ip client-ip fastly-client-ip fly-client-ip forwarded-for front-end-https true-client-ip"
    b" x-appengine-user-ip x-azure-clientip x-client-ip x-cluster-client-ip x-envoy-external-address"
    b" x-forwarded x-forwarded-by x-forwarded-client-cert x-forwarded-port x-forwarded-prefix"
    b" x-forwarded-protocol x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-forwarded-uri"
    b" x-original-forwarded-for x-original-host x-original-url x-real-ip x-rewrite-url x-scheme"
    b" x-url-scheme".split()
)
# Fields in which backends report to the proxy and to an experiment's engines. Clients do not see them.
INTERNAL = frozenset(b"endpoint-load-metrics x-lbkit-service x-lbkit-start".split())
# Fields for routing and framing. A Connection field that names one of these is an attack: the proxy and the
# backend would read different messages. (RFC 9110, 7.6.1: end-to-end fields are not connection options.)
ROUTING = frozenset(b"content-length host transfer-encoding".split())
# End-to-end fields: Connection must not name these either; if it does, they are forwarded all the same.
END_TO_END = (
    ROUTING
    | IDENTITY
    | frozenset(
        b"accept accept-charset accept-encoding accept-language accept-ranges age allow authorization"
        b" cache-control content-encoding content-language content-location content-range"
        b" content-security-policy content-type cookie date etag expect expires from if-match"
        b" if-modified-since if-none-match if-range if-unmodified-since last-modified location origin pragma"
        b" range referer retry-after server set-cookie strict-transport-security user-agent vary via warning"
        b" www-authenticate".split()
    )
)
# Fields that mean something only in a head. In trailers they are dropped: a server that merges them into the
# head would read another message than one that does not. (RFC 9110, 6.5.1.)
NOT_TRAILERS = (
    HOP_BY_HOP
    | IDENTITY
    | INTERNAL
    | ROUTING
    | frozenset(
        b"authorization cache-control content-encoding content-range content-type cookie expect host"
        b" max-forwards pragma range set-cookie".split()
    )
)
# The usual values of Connection; any other value names fields that must not be forwarded.
PLAIN_OPTIONS = frozenset({b"", b"keep-alive", b"close", b"upgrade", b"Keep-Alive", b"Close", b"Upgrade"})


def may_trail(name: bytes) -> bool:
    """Return whether a field, named in lower case, may come after a body; its twin may not, either."""
    return name.replace(b"_", b"-") not in NOT_TRAILERS


def field_finder(names: Iterable[bytes], twins: bool) -> re.Pattern[bytes]:
    """Return a pattern that finds these fields in a head: (line, name, value); with `twins`, their twins too.

    For speed, alternatives are grouped by first letter and tried only where one of these letters occurs."""
    by_letter: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(name.decode() for name in names):
        by_letter[name[0]].append(name[1:].replace("-", "[-_]") if twins else name[1:])
    letters = "".join(by_letter) + "".join(by_letter).upper()
    groups = "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in by_letter.items())
    return re.compile(rf"\r\n(?=[{letters}])(((?i:{groups})):[ \t]*([^\r\n]*))".encode())


REQUEST_FIELDS = field_finder(HOP_BY_HOP | IDENTITY | ROUTING | {b"expect", b"via"}, twins=True)
RESPONSE_FIELDS = field_finder(HOP_BY_HOP | INTERNAL | {b"content-length", b"date"}, twins=False)
# What follows a name and its colon: any valid value (RFC 9110, 5.5), and the usual spelling of a length.
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
LENGTH_VALUE = re.compile(rb" ?([0-9]{1,15})")
ONE_FIELD = re.compile(rb"\r\n([^:\r\n]+):[^\r\n]*")

METHODS = frozenset(b"GET HEAD POST PUT DELETE OPTIONS PATCH".split())  # others are checked with TOKEN
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
# A request line, without its CRLF, that needs no further check.
PLAIN_LINE = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (/[!\"$-~]*) HTTP/1\.1")
TARGET = re.compile(rb"[!\"$-~]+\Z")  # printable ASCII without "#": fragments are not sent
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
BARE_LF = re.compile(rb"(?<!\r)\n")
EMPTY_LINES = re.compile(rb"(?:\r\n)*")

# host or [IPv6 address], and a port. (RFC 3986, 3.2.2 and 3.2.3, without user information.)
_HOST = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::([0-9]{0,5}))?\Z"
)


def valid_host(host: bytes) -> bool:
    """Return whether this is a valid Host field."""
    found = _HOST.match(host)
    if found is None:
        return False
    literal, port = found.groups()
    if literal is not None and not _is_ipv6(literal):
        return False
    return not port or int(port) <= 65535


def _is_ipv6(literal: bytes) -> bool:
    try:
        IPv6Address(literal.decode())
    except ValueError:
        return False
    return True
