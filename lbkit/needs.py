"""What each feature needs besides the base install, whether it is here, and the command that gets it.

This is the only place that decides: engines, commands, widgets, notebooks and tests all ask `why_not`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from glob import glob
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lbkit.core.text import listed, unknown
from lbkit.material import CLONE

DISTRIBUTION = "lbkit-lab"  # the name on PyPI, where `lbkit` is an unrelated project
IN_A_BROWSER = sys.platform == "emscripten"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is not Python's; any one of `names` will do."""

    names: tuple[str, ...]
    apt: str
    brew: str

    @property
    def hint(self) -> str:
        """The command that gets it with the installer of this system, or both commands if it has another."""
        apt, brew = f"apt-get install {self.apt}", f"brew install {self.brew}"
        here = next((how for how in (apt, brew) if shutil.which(how.split()[0])), "")
        return here or f"{apt} (macOS: {brew})"


PROGRAMS = {
    "nginx": Program(("nginx",), "nginx", "nginx"),
    "haproxy": Program(("haproxy",), "haproxy", "haproxy"),
    "apache2": Program(("apache2", "httpd"), "apache2", "httpd"),
    "caddy": Program(("caddy",), "caddy", "caddy"),
    "bird": Program(("bird",), "bird2", "bird"),
    "redis-server": Program(("redis-server",), "redis-server", "redis"),
    "postgres": Program(("postgres",), "postgresql", "postgresql"),
    "prometheus": Program(("prometheus",), "prometheus", "prometheus"),
    "alertmanager": Program(
        ("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager", "alertmanager"
    ),
    "chromium": Program(("chromium", "chromium-browser", "google-chrome"), "chromium", "--cask chromium"),
}

# Python package, as it is imported -> the extra of this distribution that installs it.
PACKAGES = {
    "anywidget": "lab",
    "ipywidgets": "lab",
    "jupyterlab": "lab",
    "networkx": "lab",
    "plotly": "lab",
    "voila": "play",
    "playwright": "record",
    "PIL": "record",
    "locust": "load",
    "psutil": "load",
    "uvicorn": "load",
    "docker": "docker",
    "redis": "redis",
    "h2": "http2",
    "aioquic": "http3",
    "prometheus_client": "metrics",
    "dns": "dns",
    "maxminddb": "geo",
    "opentelemetry.exporter.otlp.proto.http": "tracing",
    "opentelemetry.sdk.trace": "tracing",
    "brotli": "compress",
    "zstandard": "compress",
    "trustme": "tls",
    "crossplane": "import",
    "yaml": "import",
    "distributed": "dask",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """Everything that a feature needs: all of these packages, all of these programs, and a last check."""

    what: str
    packages: tuple[str, ...] = ()  # keys of PACKAGES
    programs: tuple[str, ...] = ()  # keys of PROGRAMS
    check: str = ""  # "module:function": with all of these present, the reason it still cannot work, or ""
    browser: bool = False  # whether it also runs in a browser's Python


_FIGURES = ("anywidget", "ipywidgets", "networkx", "plotly")
_LIVE = ("locust", "psutil", "uvicorn")

FEATURES = {
    "sim": Feature("the simulator", browser=True),
    "live": Feature("lbkit's proxy in front of real processes", _LIVE),
    "docker": Feature(
        "lbkit's proxy in front of containers", (*_LIVE, "docker"), check="lbkit.live.docker:why_not"
    ),
    "nginx": Feature("experiments on nginx", _LIVE, ("nginx",)),
    "haproxy": Feature("experiments on HAProxy", _LIVE, ("haproxy",)),
    "apache": Feature("experiments on Apache httpd", _LIVE, ("apache2",)),
    "caddy": Feature("experiments on Caddy", _LIVE, ("caddy",)),
    "figures": Feature("figures and widgets", _FIGURES, browser=True),
    "lab": Feature("notebooks in JupyterLab", (*_FIGURES, "jupyterlab")),
    "play": Feature("the playground as a page without code", (*_FIGURES, "voila")),
    "record": Feature("recordings of the theatre", ("playwright", "PIL"), ("chromium",)),
    "labs": Feature("checking labs", ("psutil",)),
    "import": Feature("reading nginx.conf", ("crossplane",)),
    "documents": Feature("reading definitions in JSON and YAML", ("yaml",)),
    "dask": Feature("sweeps on a cluster", ("distributed",)),
    "http2": Feature("HTTP/2", ("h2",)),
    "http3": Feature("HTTP/3", ("aioquic",)),
    "grpc": Feature("health checks by gRPC's protocol", ("h2",)),
    "metrics": Feature("metrics for Prometheus", ("prometheus_client",)),
    "tracing": Feature(
        "traces by OpenTelemetry", ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
    ),
    "monitor": Feature("Prometheus and Alertmanager for a proxy", programs=("prometheus", "alertmanager")),
    "anycast": Feature(
        "sites that announce one address", programs=("bird",), check="lbkit.live.anycast:why_not"
    ),
    "dns": Feature("a DNS server", ("dns",)),
    "geo": Feature("databases of locations (GeoLite2, DB-IP)", ("maxminddb",)),
    "brotli": Feature("compression with brotli", ("brotli",)),
    "zstd": Feature("compression with zstd", ("zstandard",)),
    "cert": Feature("a lab's own certificates", ("trustme",)),
    "modsecurity": Feature("ModSecurity as the firewall's engine", check="lbkit.net.modsecurity:why_not"),
    "shared_limits": Feature("limits and sessions that are shared in a Redis", ("redis",)),
    "threads": Feature("several threads in one process"),
    "redis": Feature("a Redis server to try them with", (*_LIVE, "redis"), ("redis-server",)),
    "postgres": Feature("a PostgreSQL server behind the TCP proxy", ("psutil",), ("postgres",)),
}


def why_not(feature: str) -> str:
    """Return what a feature needs and this machine lacks, and how to get it; empty if nothing is missing.

    Raises ValueError for an unknown feature."""
    if feature not in FEATURES:
        raise ValueError(unknown(feature, FEATURES, "feature"))
    needed = FEATURES[feature]
    if IN_A_BROWSER and not needed.browser:
        return f"{feature} needs sockets, threads or processes, which a browser lacks (make lab has them)"
    missing = []
    if packages := [name for name in needed.packages if not has_package(name)]:
        extras = dict.fromkeys(PACKAGES[name] for name in packages)
        several = "s" if len(packages) > 1 else ""
        missing.append(f"the Python package{several} {listed(packages)} ({install_command(*extras)})")
    for name in needed.programs:
        if find_program(PROGRAMS[name].names) is None:
            missing.append(f"the program {name} ({PROGRAMS[name].hint})")
    if missing:
        return f"{feature} needs {' and '.join(missing)}"
    return str(resolve(needed.check)()) if needed.check else ""


def install_command(*extras: str) -> str:
    """Return the command that installs these extras into this Python: from the clone, if there is one."""
    wanted = f"[{','.join(extras)}]"
    if not (CLONE / "pyproject.toml").is_file():
        return f"{_short(sys.executable)} -m pip install {shlex.quote(DISTRIBUTION + wanted)}"
    return f"{_short(sys.executable)} -m pip install -e {shlex.quote(_short(CLONE) + wanted)}"


def _short(path: str | Path) -> str:
    """Return the path relative to the current folder if it is inside it."""
    full, here = Path(path).absolute(), Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


def has_package(name: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # not even the package that it is a part of
        return False
    return spec is not None and spec.origin is not None  # a folder of that name is no package


def find_program(names: Iterable[str]) -> str | None:
    """Return the path of the first program found. Debian keeps daemons outside an ordinary PATH."""
    debian = ["/usr/local/sbin", "/usr/sbin", "/sbin", *sorted(glob("/usr/lib/postgresql/*/bin"))]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *debian])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def resolve(what: str) -> Callable[..., Any]:
    """Return the function that "module:function" names, importing the module only now."""
    module, _, function = what.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
