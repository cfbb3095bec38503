"""This machine as a place for the course: what it has, whether that is enough, and how to get the rest."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import struct
import sys
import sysconfig
import time
import urllib.request
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lbkit.extensions import why_pure
from lbkit.needs import find_program, has_package, install_command

GB = 1e9
CORES = 2  # a live run has clients, a proxy and servers at work at once
MEMORY, FREE_MEMORY = 3.5 * GB, 1.0 * GB  # JupyterLab, a kernel and a live run take about half of the latter
DISK = 1.0 * GB
FILES = 1024  # a proxied connection takes two at the proxy; macOS starts with 256
SLEEP, OVERSLEPT = 0.001, 0.01  # seconds: a live run paces requests by sleeping


class Finding(NamedTuple):
    """What is here of one thing; `mend` says how to get enough of it, and is empty if there is."""

    found: str
    mend: str = ""


def system() -> Finding:
    name = platform.platform(terse=True)
    with suppress(OSError):  # only Linux has it
        name = f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {name}"
    wanted = "live runs need Linux or macOS: `wsl --install` in PowerShell gives you one inside Windows"
    return Finding(f"{name}, {platform.machine()}", wanted if sys.platform == "win32" else "")


def python() -> Finding:
    bits = struct.calcsize("P") * 8
    found = f"{platform.python_implementation()} {platform.python_version()}, {bits} bits, {sys.executable}"
    return Finding(found, "" if bits == 64 else "install a Python of 64 bits: packages have no others")


def compiler() -> Finding:
    command = (sysconfig.get_config_var("CC") or "cc").split()[0]
    headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    if not why_pure():
        return Finding("the kit runs compiled")
    if sys.platform == "win32" or (shutil.which(command) and headers):
        return Finding(f"{command}; {why_pure()}")
    how = {"darwin": "xcode-select --install"}.get(sys.platform, "apt-get install gcc libc6-dev python3-dev")
    return Finding("no C compiler with Python's headers", f"only for speed: {how}, then `make compiled`")


def processors() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    few = "live runs measure the machine as much as the balancer: keep to simulations, or use a larger one"
    return Finding(f"{count}", few if count < CORES else "")


def memory() -> Finding:
    if not has_package("psutil"):
        return Finding("not known", f"{install_command('load')} looks")
    import psutil

    now = psutil.virtual_memory()
    found = f"{now.total / GB:.1f} GB, {now.available / GB:.1f} GB of them free"
    if now.total < MEMORY:
        return Finding(found, "this is little: use the browser-only edition, or a classroom's hub")
    return Finding(found, "close other programs" if now.available < FREE_MEMORY else "")


def disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding(f"{free / GB:.1f} GB free here", f"make room: {DISK / GB:g} GB" if free < DISK else "")


def open_files() -> Finding:
    if sys.platform == "win32":
        return Finding("no limit")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= FILES:
        return Finding("no limit" if soft == resource.RLIM_INFINITY else f"{soft} at once")
    can = hard == resource.RLIM_INFINITY or hard >= FILES
    return Finding(
        f"{soft} at once", "ulimit -n 4096" if can else f"ask whoever runs this machine for {FILES} or more"
    )


def ports() -> Finding:
    """Listen on a port of this machine, and connect to it, as every live run does."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), 2).close()
    except OSError as error:
        return Finding(f"127.0.0.1: {error}", "let the firewall allow Python to connect on this machine")
    return Finding("connections on 127.0.0.1 work")


def http_proxy() -> Finding:
    """A proxy of the school or company must not get what is for this machine."""
    used = urllib.request.getproxies()
    if "http" not in used:
        return Finding("none")
    bypassed = urllib.request.proxy_bypass("127.0.0.1")
    return Finding("one is set", "" if bypassed else "export no_proxy=localhost,127.0.0.1,::1")


def clock() -> Finding:
    slept = min(_sleep() for _ in range(5))
    now = time.time()
    if now < Path(__file__).stat().st_mtime:
        return Finding(
            time.strftime("%Y-%m-%d", time.localtime(now)),
            "it is before the kit was installed: set the clock",
        )
    found = f"a millisecond's sleep takes {slept * 1000:.1f} ms"
    return Finding(found, "live runs will be late: close other programs" if slept > OVERSLEPT else "")


def _sleep() -> float:
    start = time.perf_counter()
    time.sleep(SLEEP)
    return time.perf_counter() - start


def browser() -> Finding:
    try:
        name = getattr(webbrowser.get(), "name", "the system's own")
    except webbrowser.Error:
        return Finding("none found", "open the address that lbkit prints in any browser, or install Firefox")
    return Finding(str(name))


def kernel() -> Finding:
    """The Jupyter kernel that notebooks ask for has to be this Python."""
    if not has_package("jupyter_client") or not has_package("ipykernel"):
        return Finding("none", install_command("lab"))
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("no kernel python3", mend)
    found = find_program([command])
    # A name without a path, such as `python`, means the Python that runs Jupyter.
    if os.sep in command and (found is None or not os.path.samefile(found, sys.executable)):
        return Finding(f"python3 is {command}", mend)
    return Finding("python3 is this Python")


CHECKS: dict[str, Callable[[], Finding]] = {
    "system": system,
    "python": python,
    "kernel": kernel,
    "compiler": compiler,
    "processors": processors,
    "memory": memory,
    "disk": disk,
    "open files": open_files,
    "ports": ports,
    "http proxy": http_proxy,
    "clock": clock,
    "browser": browser,
}
