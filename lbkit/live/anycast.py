"""Anycast on one machine: hosts in network namespaces announce the same address, with BIRD as their router.

Each host is its own network. The machine's network is not touched, and a namespace ends with its processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lbkit import needs
from lbkit.live import anycast_peer
from lbkit.live.front import wait_until
from lbkit.needs import PROGRAMS, find_program
from lbkit.run import EngineError
from lbkit.started import Started

ADDRESS = "203.0.113.1"  # of all sites; from a range for documentation (RFC 5737), as those of the links
CLIENT, FIRST_SITE = 64500, 64501  # AS numbers, for documentation (RFC 5398)
TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}
PATIENCE = 15.0  # seconds to wait for a namespace or a route


def why_not() -> str:
    """Return why network namespaces cannot be used on this machine; empty if they can."""
    if sys.platform != "linux":
        return "anycast needs network namespaces, which only Linux has"
    for program, package in TOOLS.items():
        if find_program([program]) is None:
            return f"anycast needs the program {program} (apt-get install {package})"
    allowed = subprocess.run([_tool("unshare"), "--net", "true"], capture_output=True, check=False)
    return "" if allowed.returncode == 0 else "anycast needs network namespaces, which root may make"


def _tool(name: str) -> str:
    wanted = PROGRAMS[name].names if name in PROGRAMS else (name,)
    return find_program(wanted) or name


def _until_closed(command: Sequence[str], resources: ExitStack) -> subprocess.Popen[bytes]:
    """Start a program that ends when its input closes, which the kernel does even if we are killed."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches us only, and we end it
    )

    def end() -> None:
        assert process.stdin
        process.stdin.close()
        process.wait()

    resources.callback(end)
    return process


# A shell script that runs a program and kills it when the input closes.
TIED = '"$@" & cat > /dev/null; kill $!; wait'


class _Host:
    """A network namespace with its router."""

    def __init__(self, name: str, folder: Path, resources: ExitStack) -> None:
        self.name, self.folder, self._resources = name, folder, resources
        self.socket = folder / f"{name}.ctl"
        self.pid = _until_closed([_tool("unshare"), "--net", "cat"], resources).pid
        ours = os.readlink("/proc/self/ns/net")
        if not wait_until(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != ours, PATIENCE):
            raise EngineError(f"anycast: there is no namespace for {name} within {PATIENCE:g} s")

    def start(self, *command: str) -> None:
        """Start a program on this host; it ends with the lab."""
        _until_closed(["sh", "-c", TIED, "sh", *self.command(*command)], self._resources)

    def command(self, *command: str) -> list[str]:
        """Return the command that runs `command` on this host."""
        return [_tool("nsenter"), "--net", f"--target={self.pid}", *command]

    def run(self, *command: str) -> str:
        """Return the output of a command on this host. Raises EngineError if it fails."""
        done = subprocess.run(self.command(*command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"anycast: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def ip(self, *words: str) -> str:
        return self.run(_tool("ip"), *words)

    def route(self, config: str) -> None:
        """Start BIRD. Raises EngineError for a configuration that it cannot read."""
        path = self.folder / f"{self.name}.conf"
        path.write_text(config)
        self.run(_tool("bird"), "-p", "-c", str(path))
        self.start(_tool("bird"), "-f", "-c", str(path), "-s", str(self.socket))

    def bird(self, *words: str) -> str:
        return self.run(_tool("birdc"), "-s", str(self.socket), *words)


def _site_config(own: str, other: str, number: int) -> str:
    return f"""router id {own};
protocol device {{}}
protocol static site {{ route {ADDRESS}/32 blackhole; ipv4; }}
protocol bgp upstream {{
  local {own} as {number}; neighbor {other} as {CLIENT}; connect delay time 1; connect retry time 1;
  ipv4 {{ import none; export where source = RTS_STATIC; }};
}}
"""


def _client_config(links: Sequence[tuple[str, str]]) -> str:
    """Return the client's configuration: the AS path to each next site is one longer, so the first wins."""
    said = f"router id {links[0][0]};\nprotocol device {{}}\nprotocol kernel {{ ipv4 {{ export all; }}; }}\n"
    for i, (own, other) in enumerate(links):
        longer = f"bgp_path.prepend({FIRST_SITE + i}); " * i
        said += f"""protocol bgp site{i} {{
  local {own} as {CLIENT}; neighbor {other} as {FIRST_SITE + i}; connect delay time 1; connect retry time 1;
  ipv4 {{ import filter {{ {longer}accept; }}; export none; }};
}}
"""
    return said


class AnycastLab(Started):
    """Sites that announce one address, and a client that reaches the first site that announces it.

    >>> with AnycastLab(["frankfurt", "virginia"]) as lab:  # doctest: +SKIP
    ...     lab.ask()          # "frankfurt", on a new connection
    ...     lab.withdraw("frankfurt")
    ...     lab.ask(), lab.ask(same=True)
    """

    def __init__(self, sites: Sequence[str] = ("frankfurt", "virginia")) -> None:
        """`sites`: names, the nearest first. Raises ValueError for none, for more than 60, for duplicates."""
        if not 1 <= len(sites) <= 60 or len(set(sites)) < len(sites):
            raise ValueError("sites: use 1 to 60 names, each once")
        self.sites = tuple(sites)
        self._hosts: dict[str, _Host] = {}
        self._resources = ExitStack()
        self._client: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start all hosts; return when the client reaches the first site. Raises EngineError."""
        if reason := needs.why_not("anycast"):
            raise EngineError(reason)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        folder = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        names = ["client", *(f"site{i}" for i in range(len(self.sites)))]
        made = {name: _Host(name, folder, self._resources) for name in names}
        client = made["client"]
        links = []
        for i, site in enumerate(self.sites):
            host = self._hosts[site] = made[f"site{i}"]
            own, other = f"192.0.2.{4 * i + 1}", f"192.0.2.{4 * i + 2}"
            links.append((own, other))
            client.ip(
                *("link", "add", f"to{i}", "type", "veth"),
                *("peer", "name", "wan", "netns", str(host.pid)),
            )
            for end, device, address in ((client, f"to{i}", f"{own}/30"), (host, "wan", f"{other}/30")):
                end.ip("address", "add", address, "dev", device)
                end.ip("link", "set", device, "up")
            host.ip("link", "set", "lo", "up")
            host.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
            host.ip("route", "add", "default", "via", own)
            host.start(sys.executable, anycast_peer.__file__, "site", ADDRESS, site)
            host.route(_site_config(other, own, FIRST_SITE + i))
        client.route(_client_config(links))
        command = client.command(sys.executable, anycast_peer.__file__, "client", ADDRESS)
        self._client = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._resources.callback(self._end_client)

        def complete() -> bool:
            try:
                known = client.bird("show", "route").count("via ")
            except EngineError:  # BIRD does not listen yet
                return False
            return known == len(self.sites) and self.ask() == self.sites[0]

        if not wait_until(complete, PATIENCE):
            raise EngineError(f"anycast: the client does not know all sites within {PATIENCE:g} s")

    def _end_client(self) -> None:
        assert self._client is not None
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.close()
        self._client.stdout.close()
        self._client.wait()

    def stop(self) -> None:
        resources, self._resources = self._resources, ExitStack()
        resources.close()
        self._hosts.clear()

    # -- experiments --------------------------------------------------------------------------------

    def announce(self, site: str) -> None:
        """Have a site announce the address again. Raises ValueError for an unknown site."""
        self._host(site).bird("enable", "site")

    def withdraw(self, site: str) -> None:
        """Have a site withdraw the address; it still answers packets that reach it. Raises ValueError."""
        self._host(site).bird("disable", "site")

    def _host(self, site: str) -> _Host:
        if site not in self._hosts:
            raise ValueError(f"site is {site!r}: use one of {', '.join(self.sites)}, while the lab runs")
        return self._hosts[site]

    def ask(self, same: bool = False) -> str:
        """Return the name of the site that answers the client, on a new connection or the `same` as before;
        or "failed: " and the reason."""
        assert self._client is not None
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write("same\n" if same else "new\n")
        self._client.stdin.flush()
        return self._client.stdout.readline().strip()
