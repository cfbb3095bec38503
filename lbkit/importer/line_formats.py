"""Formats of access logs as regular expressions: the usual ones, and any log_format or LogFormat.

The names of the groups are those of `log_lines.py`: client, logged (when the line was written), begun (when
the request came), request, path, took (seconds from begun to logged), took_us, took_s, took_ms, service (of
the backend), tr (HAProxy's, in ms), backend (its name or address; "-" or "<NOSRV>" for an answer of the proxy
itself), more (what follows, in no order that is known).

Patterns stand at the start of a line and never try a long text twice: a log holds what strangers sent.
"""

from __future__ import annotations

import re

QUOTED = r'(?:[^"\\]|\\.)*'
# Seconds of each try at an upstream, as nginx logs them: "0.300, 0.200" or "0.300 : -".
TRIES = r"(?:[\d.]+|-)(?:(?:, | : )(?:[\d.]+|-))*"
_LIST = r"[^\s,]*(?:(?:, | : )[^\s,]+)*"  # of one value for each try
_USER = r".{0,256}?"  # may have spaces
_TIME = r"\[(?P<{0}>[^\]]+)\]"
_ADDRESS = r"(?:\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)"

# nginx variable -> pattern.
_NGINX = {
    "remote_addr": r"(?P<client>\S+)",
    "time_local": r"(?P<logged>\d+/\w+/\d+:\d+:\d+:\d+ [+-]\d+)",
    "time_iso8601": r"(?P<logged>\d+-\d+-\d+T[\d:]+\S*?)",
    "msec": r"(?P<logged>\d+\.\d+)",
    "request": rf"(?P<request>{QUOTED})",
    "request_uri": r"(?P<path>\S+)",
    "uri": r"(?P<path>\S+)",
    "request_time": r"(?P<took>[\d.]+|-)",
    "upstream_response_time": rf"(?P<service>{TRIES})",
    "upstream_addr": rf"(?P<backend>{_LIST})",
    "remote_user": _USER,
}
# Apache directive -> pattern, without what stands between % and the letter, such as > or !200.
_APACHE = {
    "h": r"(?P<client>\S+)",
    "a": r"(?P<client>\S+)",
    "t": _TIME.format("begun"),
    "r": rf"(?P<request>{QUOTED})",
    "U": r"(?P<path>\S+)",
    "D": r"(?P<took_us>\d+|-)",
    "T": r"(?P<took_s>\d+|-)",
    "{us}T": r"(?P<took_us>\d+|-)",
    "{ms}T": r"(?P<took_ms>\d+|-)",
    "{s}T": r"(?P<took_s>\d+|-)",
    "u": _USER,
}
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_DIRECTIVE = re.compile(r"%[!\d,]*[<>]?((?:\{[^}]*\})?)[!\d,]*[<>]?([A-Za-z%])")


def compiled(form: str) -> re.Pattern[str]:
    """Return the pattern of an nginx log_format ($variables) or an Apache LogFormat (%directives).

    Raises ValueError for a format without client, time and request, which an experiment needs."""
    nginx = bool(_VARIABLE.search(form))
    parts, end, seen = [], 0, set()
    for found in (_VARIABLE if nginx else _DIRECTIVE).finditer(form):
        parts.append(re.escape(form[end : found.start()]))
        end = found.end()
        quoted = form[found.start() - 1 : found.start()] == '"' and form[end : end + 1] == '"'
        if nginx:
            pattern = _NGINX.get(found[1]) or (_LIST if found[1].startswith("upstream_") else None)
        else:
            pattern = "%" if found[2] == "%" else _APACHE.get(found[1] + found[2])
        if not pattern:
            following = form[end : end + 1]
            pattern = QUOTED if quoted else f"[^{re.escape(following)}]*" if following else ".*"
        for name in re.findall(r"\?P<(\w+)>", pattern):
            if name in seen:  # a group may stand once only
                pattern = QUOTED if quoted else r"\S*"
            seen.add(name)
        parts.append(pattern)
    parts.append(re.escape(form[end:]))
    missing = [
        what
        for what, names in {
            "the client": {"client"},
            "the time": {"logged", "begun"},
            "the request": {"request", "path"},
        }.items()
        if not names & seen
    ]
    if missing:
        raise ValueError(
            f"format {form!r} has not {' and '.join(missing)}: use variables of nginx such as $remote_addr,"
            ' $time_local and "$request", or of Apache such as %h, %t and "%r"'
        )
    return re.compile("".join(parts) + "$")


_REQUEST = rf'"(?P<request>{QUOTED})"'
_STATUS_SIZE = r"(?:\d+|-) (?:\d+|-)"
_HAPROXY_TIMES = r"-?\d+/-?\d+/-?\d+/(?P<tr>-?\d+)/\+?-?\d+"
_HAPROXY_COUNTS = r"(?:\S+ ){4}\d+/\d+/\d+/\d+/(?P<redispatched>\+)?"
_ALB_TIME = r"(?:-1|[\d.]+)"
# Name -> pattern, each before those that would match it, too.
FORMATS = {
    "HAProxy's httplog": re.compile(
        rf"(?P<client>[0-9a-fA-F.:\[\]]+):\d+ {_TIME.format('begun')} \S+ [^\s/]+/(?P<backend>\S+) "
        rf"{_HAPROXY_TIMES} -?\d+ "
        rf"(?:{_HAPROXY_COUNTS})?.*?{_REQUEST}"  # httpslog has more fields
    ),
    "HAProxy's CLF": re.compile(
        rf"(?P<client>[0-9a-fA-F.:]+) - - {_TIME.format('begun')} {_REQUEST} -?\d+ \+?\d+ "
        r'"" "" \d+ \d+ "[^"]*" "[^"]*" "(?P<backend>[^"]*)" -?\d+ -?\d+ -?\d+ (?P<tr>-?\d+) '
    ),
    "ingress-nginx": compiled(
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"'
        ' "$http_user_agent" $request_length $request_time [$proxy_upstream_name]'
        " [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length"
        " $upstream_response_time $upstream_status $req_id"
    ),
    "Traefik's CLF": re.compile(
        rf"(?P<client>[^\s,]+) \S+ {_USER}{_TIME.format('begun')} {_REQUEST} {_STATUS_SIZE}"
        rf' "{QUOTED}" "{QUOTED}" \d+ "{QUOTED}" "(?P<backend>{QUOTED})" (?P<took_ms>\d+)ms'
    ),
    "AWS ALB": re.compile(
        r"(?:https?|h2|grpcs?|wss?) (?P<logged>\d\S+Z) \S+ (?P<client>\S+):\d+ (?P<backend>\S+)"
        rf" {_ALB_TIME} (?:-1|(?P<service>[\d.]+)) {_ALB_TIME} \S+ \S+ \d+ \d+ {_REQUEST}"
    ),
    "Envoy": re.compile(
        rf"{_TIME.format('begun')} {_REQUEST} \d+ \S+ (?:\S+ \S+ \"{QUOTED}\" )?\d+ \d+"  # Istio has more
        r' (?P<took_ms>\d+|-) (?:(?P<tr>\d+)|-) "(?P<client>[^",]*)'
        rf'(?:{QUOTED}" "{QUOTED}" "{QUOTED}" "{QUOTED}" "(?P<backend>{QUOTED})")?'
    ),
    "vhost_combined": re.compile(
        rf"[^\s,]+ (?P<client>{_ADDRESS}) \S+ {_USER}{_TIME.format('stamp')} {_REQUEST} {_STATUS_SIZE}"
        r"(?P<more>.*)$"
    ),
    "combined": re.compile(
        rf"(?P<client>[^\s,]+)(?:, [^\s,]+)* \S+ {_USER}{_TIME.format('stamp')} {_REQUEST}"
        rf" {_STATUS_SIZE}(?P<more>.*)$"
    ),
}

# What other programs write before a line: each is taken off.
_ISO = r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)"
PREFIX = re.compile(
    r"\A(?:"
    r"(?:<\d+>)?(?:\d )?(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|"
    + _ISO
    + r") (?:\S+ )?[\w./-]+(?:\[\d+\])?: "  # syslog
    r"|<\d+>1 " + _ISO + r" \S+ \S+ \S+ \S+ (?:-|\[.*?\]) "  # RFC 5424
    r"|[\w.-]+ *\| "  # docker compose logs
    r"|" + _ISO + r" std(?:out|err) [FP] "  # Kubernetes
    r"|" + _ISO + r" (?=\S)"  # docker logs -t
    r")+"
)
