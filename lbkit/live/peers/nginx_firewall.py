"""The firewall in nginx: its module for ModSecurity, with the rules that the proxy's engine has, too."""

from __future__ import annotations

import os

from lbkit.core.firewall import LIMITS, UNNAMED
from lbkit.firewall import FirewallRules
from lbkit.live.peers.errors import PeerError
from lbkit.net.modsecurity import CORE_RULE_SET, preamble

# Paths of the module in distributions.
MODULES = (
    "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so",
    "/usr/lib64/nginx/modules/ngx_http_modsecurity_module.so",
    "/usr/share/nginx/modules/ngx_http_modsecurity_module.so",
)
HINT = "it has no module for ModSecurity here: apt-get install libnginx-mod-http-modsecurity modsecurity-crs"
NOTES = [
    "ModSecurity in nginx does not tell which rule has refused a request: the column `firewall` is"
    f" {UNNAMED} for its refusals, and `score` is 0",
    "firewall.max_target, max_arguments and encoded are limits of lbkit's proxy; here the Core Rule Set has"
    " its own",
]
# What nginx and its module do not have here, with the values that change nothing.
_LEFT_OUT = {"mode": "block", "allow": (), "max_body": None, "bodies": True}


class NginxFirewall:
    """The lines of nginx for the rules. Raises PeerError for what it does not have."""

    def __init__(self, rules: FirewallRules) -> None:
        if rules.engine != "modsecurity":
            raise PeerError(
                "nginx has none of lbkit's signatures: use firewall.engine = 'modsecurity', or lbkit's proxy"
            )
        for name, usual in _LEFT_OUT.items():
            if getattr(rules, name) != usual:
                raise PeerError(f"nginx cannot do firewall.{name} here: use {usual!r}, or lbkit's proxy")
        self.rules = rules

    def module(self) -> str:
        """Return the line that loads the module, if it is a file."""
        found = next((path for path in MODULES if os.path.exists(path)), None)
        return f"load_module {found};\n" if found else ""

    def maps(self) -> str:
        """Return the lines for the http block: which answers are refusals. Servers have no such statuses."""
        return f"  map $status $refused {{\n    default 0;\n    ~^(400|403|405|413)$ {UNNAMED};\n  }}\n"

    def use(self) -> str:
        """Return the lines for the location."""
        denied = "".join(f"      deny {network};\n" for network in self.rules.deny)
        return f"""\
{denied}      modsecurity on;
      modsecurity_rules '{_quoted(self._rules())}';
      add_header X-Lbkit-Firewall "$refused; score=0" always;
"""

    def _rules(self) -> str:
        rules = self.rules
        files = "".join(f"Include {file}\n" for file in rules.rules or CORE_RULE_SET)
        off = [number for number in rules.off if number not in LIMITS]
        removed = "".join(f"SecRuleRemoveById {number}\n" for number in off)
        return preamble(rules.threshold, rules.paranoia, " ".join(rules.methods)) + files + removed


def _quoted(text: str) -> str:
    """Return a text as it stands between single quotes."""
    return text.replace("\\", "\\\\").replace("'", "\\'")
