"""What each student of a classroom gets: a folder with copies of the course, ports, and limits."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FIRST_PORT, PORTS_EACH = 20_000, 50  # below the ports that kernels choose themselves
MEMORY = 3 << 30  # bytes of address space a process: an endless list ends in MemoryError
CPU = 3600  # seconds of processor time a process: an endless loop ends within the lesson
FILES = 4096
NICE = 5  # students' work comes after the hub's own, so that pages still open
GROUP_MEMORY, GROUP_CPU, GROUP_TASKS = "1500M", "100%", "500"  # of all processes of a student, by systemd


def ports_of(number: int) -> str:
    """Return the range of a student's ports, for LBKIT_PORTS; `number` is the hub's, from 1 on."""
    first = FIRST_PORT + number * PORTS_EACH
    if first + PORTS_EACH > 32_768:
        raise ValueError(f"student {number}: there are ports for {(32_768 - FIRST_PORT) // PORTS_EACH - 1}")
    return f"{first}-{first + PORTS_EACH - 1}"


def environment(name: str, number: int, home: Path, submitted: Path) -> dict[str, str]:
    """Return what is different for each student in the environment of their processes."""
    return {
        "LBKIT_HOME": str(home),
        "LBKIT_PROGRESS": str(home / "progress.json"),
        "LBKIT_PORTS": ports_of(number),
        "LBKIT_SUBMIT_TO": str(submitted / name),
    }


def lower_limits() -> None:
    """Lower the limits of this process, and so of all that it starts; needs no root."""
    import resource

    limits = {resource.RLIMIT_CPU: CPU, resource.RLIMIT_NOFILE: FILES, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":  # macOS reserves more than any limit, and refuses one
        limits[resource.RLIMIT_AS] = MEMORY
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (lower, lower))
    os.nice(NICE)


def in_a_group(command: list[str]) -> list[str]:
    """Return the command that runs a student's server in a control group of systemd."""
    properties = {"MemoryMax": GROUP_MEMORY, "CPUQuota": GROUP_CPU, "TasksMax": GROUP_TASKS}
    options = [part for name, value in properties.items() for part in ("-p", f"{name}={value}")]
    return ["systemd-run", "--user", "--scope", "--quiet", "--collect", *options, "--", *command]


@functools.cache
def has_groups() -> bool:
    """Return whether systemd makes control groups for this user, with these limits."""
    if not shutil.which("systemd-run"):
        return False
    done = subprocess.run(in_a_group(["true"]), capture_output=True, timeout=20, check=False)
    return done.returncode == 0


def limited(command: list[str]) -> list[str]:
    """Return the command with the limits of a group, where there are groups: rlimits are for each process."""
    return in_a_group(command) if has_groups() else command


def preparing(home: Path) -> Callable[[], None]:
    """Return what a student's first process does before its program begins."""

    def prepare() -> None:
        os.chdir(home)
        lower_limits()

    return prepare


def single_user_server() -> str:
    """Return the path of the program that is a student's JupyterLab."""
    return str(Path(sys.executable).with_name("jupyterhub-singleuser"))
