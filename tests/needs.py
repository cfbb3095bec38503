"""What a test needs besides lbkit. A missing thing skips the test in one line that says how to get it.

With LBKIT_REQUIRE_ALL set, as in CI, conftest.py turns every skip into a failure. Only what
a machine cannot have at all may still be skipped: `skip_platform`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from typing import NoReturn

import pytest

REQUIRE_ALL = bool(os.environ.get("LBKIT_REQUIRE_ALL"))

# Program -> how to get it.
PROGRAMS = {
    "apache2": "apt-get install apache2 (macOS: brew install httpd)",
    "caddy": "apt-get install caddy (macOS: brew install caddy)",
    "chromium": "apt-get install chromium (macOS: brew install --cask chromium)",
    "dig": "apt-get install dnsutils (macOS: brew install bind)",
    "docker": "apt-get install docker.io (macOS: brew install --cask docker)",
    "haproxy": "apt-get install haproxy (macOS: brew install haproxy)",
    "nginx": "apt-get install nginx (macOS: brew install nginx)",
    "redis-server": "apt-get install redis-server (macOS: brew install redis)",
    "wrk": "apt-get install wrk (macOS: brew install wrk)",
}
OTHER_NAMES = {
    "apache2": ["httpd"],
    "chromium": ["chromium-browser", "google-chrome"],
}

PLATFORM = "platform: "  # starts the reason of a skip that is no omission


def need(program: str) -> str:
    """The path of `program`, or a skip. Raises KeyError for one that PROGRAMS does not know."""
    hint = PROGRAMS[program]
    # Debian keeps daemons where an ordinary user's PATH does not look.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    for name in [program, *OTHER_NAMES.get(program, [])]:
        if found := shutil.which(name, path=path):
            return found
    pytest.skip(f"{program} is not installed: {hint}")


def need_module(module: str, package: str | None = None) -> None:
    """Skips without the Python module; `package` is what to install, where its name differs.

    At the top of a test module, all of it is skipped."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install {package or module}", allow_module_level=True)


def need_docker() -> str:
    """The path of docker, with an engine that runs, or a skip."""
    docker = need("docker")
    if subprocess.run([docker, "info"], capture_output=True, timeout=30, check=False).returncode:
        skip_platform("no Docker engine runs here")
    return docker


def skip_platform(reason: str) -> NoReturn:
    """Skips what this machine or system cannot have, even where nothing may be left out."""
    pytest.skip(PLATFORM + reason)
