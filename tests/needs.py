"""What a test needs besides lbkit. A missing thing skips the test in one line that says how to get it.

`lbkit.needs` decides; here are only the things that tests need and lbkit does not.

With LBKIT_REQUIRE_ALL set, as in CI, conftest.py turns every skip into a failure. Only what
a machine cannot have at all may still be skipped: `skip_platform`.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from lbkit import compiled, needs
from lbkit.needs import Program

REQUIRE_ALL = bool(os.environ.get("LBKIT_REQUIRE_ALL"))

PROGRAMS = needs.PROGRAMS | {
    "dig": Program(("dig",), "dnsutils", "bind"),
    "unbound": Program(("unbound",), "unbound", "unbound"),
    "docker": Program(("docker",), "docker.io", "--cask docker"),
    "curl": Program(("curl",), "curl", "curl"),
    "h2load": Program(("h2load",), "nghttp2-client", "nghttp2"),
    "nghttp": Program(("nghttp",), "nghttp2-client", "nghttp2"),
    "npm": Program(("npm",), "npm", "node"),
    "amtool": Program(("amtool",), "prometheus-alertmanager", "alertmanager"),
    "promtool": Program(("promtool",), "prometheus", "prometheus"),
}

PLATFORM = "platform: "  # starts the reason of a skip that is no omission


def need(program: str) -> str:
    """Return the path of `program`, or skip. Raises KeyError for one that PROGRAMS does not have."""
    wanted = PROGRAMS[program]
    found = needs.find_program(wanted.names)
    if found is None:
        pytest.skip(f"{program} is not installed: {wanted.hint}")
    return found


def need_feature(*features: str) -> None:
    """Skip without what these features of lbkit need. At the top of a module, all of it is skipped."""
    for feature in features:
        if reason := needs.why_not(feature):
            pytest.skip(reason, allow_module_level=True)


def need_module(module: str, package: str | None = None) -> None:
    """Skip without the Python module; `package` is what to install, where its name differs.

    At the top of a test module, all of it is skipped."""
    if not needs.has_package(module):
        extra = needs.PACKAGES.get(module)
        how = needs.install_command(extra) if extra else f"pip install {package or module}"
        pytest.skip(f"{module} is not installed: {how}", allow_module_level=True)


def need_docker() -> str:
    """Return the path of docker, with an engine that runs, or skip."""
    docker = need("docker")
    feature = needs.FEATURES["docker"]
    for package in feature.packages:
        need_module(package)
    if reason := needs.resolve(feature.check)():
        skip_platform(reason)
    return docker


def skip_platform(reason: str) -> NoReturn:
    """Skip what this machine or system cannot have, even where nothing may be left out."""
    pytest.skip(PLATFORM + reason)


def need_readable() -> None:
    """Skip where lbkit is compiled, for a test that looks into objects by replacing their methods."""
    if compiled():
        pytest.skip(
            f"{PLATFORM}compiled methods cannot be replaced; readable Python has this test, with LBKIT_PURE=1"
        )
