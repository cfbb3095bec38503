"""Compression in the words of each program. All have gzip; types with * are written out where needed."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from lbkit.compression import Compression
from lbkit.live.peers.errors import PeerError

# The types that a wildcard stands for, where a program has none.
KNOWN = ("text/plain", "text/html", "text/css", "text/csv", "text/xml", "application/ld+json")


class Compressing:
    """The lines for a program. Raises PeerError for codings that it does not have."""

    def __init__(self, program: str, rules: Compression | None, codings: Sequence[str] = ("gzip",)) -> None:
        self.rules = rules
        if rules and (other := [name for name in rules.codings if name not in codings]):
            raise PeerError(
                f"{program} has no {other[0]!r} here: use compression.codings {list(codings)},"
                " or lbkit's proxy"
            )

    def types(self, rules: Compression) -> list[str]:
        named = [name for name in rules.types if "*" not in name]
        meant = [name for name in KNOWN if any(fnmatchcase(name, rule) for rule in rules.types)]
        return list(dict.fromkeys([*meant, *named]))

    def nginx(self) -> str:
        """https://nginx.org/en/docs/http/ngx_http_gzip_module.html"""
        rules = self.rules
        if rules is None:
            return ""
        types = " ".join(name for name in self.types(rules) if name != "text/html")  # which is always there
        return f"""\
  gzip on;
  gzip_proxied any;
  gzip_vary on;
  gzip_min_length {rules.minimum};
  gzip_comp_level {rules.level("gzip")};
  gzip_types {types};
"""

    def haproxy(self) -> str:
        """https://docs.haproxy.org/2.6/configuration.html#4-compression%20algo"""
        rules = self.rules
        if rules is None:
            return ""
        return f"  compression algo gzip\n  compression type {' '.join(self.types(rules))}\n"

    def apache(self) -> str:
        """https://httpd.apache.org/docs/2.4/mod/mod_deflate.html"""
        rules = self.rules
        if rules is None:
            return ""
        level = rules.level("gzip")
        return (
            f"DeflateCompressionLevel {level}\nAddOutputFilterByType DEFLATE {' '.join(self.types(rules))}\n"
        )

    def caddy(self) -> str:
        """https://caddyserver.com/docs/caddyfile/directives/encode"""
        rules = self.rules
        if rules is None:
            return ""
        codings = "".join(
            f"    {name} {rules.level(name)}\n" if name == "gzip" else f"    {name}\n"
            for name in rules.codings
        )
        types = "".join(f"      header Content-Type {name}\n" for name in _starred(rules.types))
        return f"""\
  encode {{
{codings}    minimum_length {rules.minimum}
    match {{
{types}    }}
  }}
"""


def _starred(types: Sequence[str]) -> list[str]:
    """Return the types with a * for their parameters, such as a charset."""
    return [name if name.endswith("*") else f"{name}*" for name in types]
