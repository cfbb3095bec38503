"""A configuration of a real system as an Experiment: nginx, HAProxy, Envoy, Kubernetes, AWS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lbkit.experiment import Experiment, ExperimentError
from lbkit.experiment.spread import spread_load
from lbkit.importer.definitions import read_definition
from lbkit.importer.documents import is_document
from lbkit.importer.found import ImportFault, Unread, Upstream, counted, grouped, printable
from lbkit.importer.haproxy import SECTIONS, read_haproxy
from lbkit.importer.nginx import read_nginx

MOST_BYTES = 64 << 20  # of a file
MOST_NAMES = 20  # of upstreams, in a report
LOAD = 0.7  # of what the servers can serve: a configuration says nothing about traffic

_HAPROXY = re.compile(rf"^[ \t]*(?:{'|'.join(SECTIONS)})\b[^{{}};]*$", re.MULTILINE)
_NGINX_UPSTREAM = re.compile(r"\bupstream\s+[^\s{;]+\s*\{")
_NGINX = re.compile(r"[;{}]\s*(?:#.*)?$", re.MULTILINE)


@dataclass
class Imported:
    """An experiment, and what it does not contain of the file."""

    experiment: Experiment
    upstream: str
    skipped: list[str]  # the other upstreams of the file that have servers
    addresses: dict[str, str]  # server -> its address in the file
    notes: list[str]
    unread: list[Unread]
    log_format: str = ""  # of its access log, where the file says it

    def report(self) -> list[str]:
        """Return lines for a reader: what was imported, then notes, then what was left out, grouped."""
        servers, policy = self.experiment.leaves, self.experiment.policy
        backups = sum(server.priority > 0 for server in servers)
        algorithm = policy.options["inner"] if backups else policy.algorithm
        rules = self.experiment.routing.rules if self.experiment.routing else ()
        lines = [
            f"{self.upstream}: {counted(len(servers), 'server')}"
            + (f" ({counted(backups, 'backup')})" if backups else "")
            + f", {algorithm}"
            + (
                f"; {counted(len(rules), 'rule')}, {counted(len(self.experiment.pools), 'pool')}"
                if rules
                else ""
            )
        ]
        if self.skipped:
            more = f" and {len(self.skipped) - MOST_NAMES} more" if len(self.skipped) > MOST_NAMES else ""
            names = ", ".join(self.skipped[:MOST_NAMES]) + more
            lines.append(f"not imported: {names} (choose with --upstream NAME)")
        lines += [f"note: {note}" for note in self.notes]
        if self.unread:
            count = len({(one.file, one.line) for one in self.unread})
            lines.append(f"not in the experiment ({counted(count, 'line')}):")
            lines += [f"  {text}" for text in grouped(self.unread)]
            if any(one.text.startswith("include ") for one in self.unread):
                lines.append("  (`nginx -T` prints a configuration with all the files that it includes)")
        return [printable(line) for line in lines]  # a name in the file may have a newline


def read_config(path: str | Path, upstream: str | None = None) -> Imported:
    """Read a configuration into an experiment; the kind of file is recognised by its content.

    nginx, HAProxy, Envoy's static bootstrap, Kubernetes objects, and load balancers of AWS (`aws elbv2
    describe-*`, CloudFormation, a Terraform plan). `upstream`: the upstream, backend, listener or service to
    take; by default the first one with servers. A configuration has no service times and no traffic: servers
    get the default service time and a load of 0.7, with requests for all rules.
    Raises ImportFault for a file without servers or an unknown upstream, OSError."""
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise ImportFault(f"{path} has more than {MOST_BYTES >> 20} MiB: give a configuration")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    unread: list[Unread] = []
    upstreams = _read(path, text, unread)
    usable = [found for found in upstreams if found.servers]
    if not usable:
        lost = "; ".join(str(one) for one in unread[:3])
        raise ImportFault(
            f"{path}: no upstream or backend with servers in it: give a file with one"
            + (f" (not understood: {lost})" if lost else "")
            + (
                "; `nginx -T` prints a configuration with all its files"
                if any(one.text.startswith("include ") for one in unread)
                else ""
            )
        )
    chosen = _choose(usable, upstream, path)
    name = printable(f"{path.name}: {chosen.name}")
    try:
        experiment = Experiment(
            chosen.servers, policy=chosen.policy, routing=chosen.routing, layer4=chosen.layer4, name=name
        )
    except ExperimentError as error:
        raise ImportFault(f"{path}: {chosen.name} makes no experiment: {error}") from None
    if not experiment.capacity:
        raise ImportFault(f"{path}: all servers of {chosen.name} are down, disabled or of weight 0")
    experiment, missed = spread_load(experiment, LOAD)
    if missed:
        chosen.notes.append(f"no requests are made for {', '.join(missed)}: add a RequestKind to the mix")
    skipped = list(dict.fromkeys(other.name for other in usable if other.name != chosen.name))
    if (same := sum(other.name == chosen.name for other in usable)) > 1:
        chosen.notes.append(f"{same} upstreams are named {chosen.name}: this is the first")
    return Imported(
        experiment,
        chosen.name,
        skipped,
        chosen.addresses,
        chosen.notes,
        unread + chosen.unread,
        chosen.log_format,
    )


def _read(path: Path, text: str, unread: list[Unread]) -> list[Upstream]:
    if is_document(text):
        return read_definition(path.name, text, unread)
    return read_haproxy(path.name, text, unread) if is_haproxy(path, text) else read_nginx(path, unread)


def is_haproxy(path: Path, text: str) -> bool:
    """Return whether a configuration is HAProxy's; else it is nginx's. Raises ImportFault for another."""
    if _HAPROXY.search(text) and not _NGINX_UPSTREAM.search(text):
        return True
    if _NGINX.search(text):
        return False
    raise ImportFault(
        f"{path}: neither nginx's nor HAProxy's configuration: it has no directive that ends in ; or {{,"
        " and no section such as backend; nor is it JSON or YAML of Envoy, Kubernetes or AWS"
    )


def _choose(usable: list[Upstream], name: str | None, path: Path) -> Upstream:
    if name is None:
        return usable[0]
    for found in usable:
        if found.name == name:
            return found
    raise ImportFault(f"{path}: no upstream {name!r}: there are {', '.join(found.name for found in usable)}")
