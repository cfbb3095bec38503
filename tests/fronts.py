"""Real programs in front of a proxy, or behind it: HAProxy and nginx, each on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from needs import need
from scripted import TIMEOUT


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(command: list[object], port: int) -> Iterator[int]:
    """Run a program that listens on `port`."""
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        end = time.monotonic() + TIMEOUT
        while True:
            assert process.poll() is None, process.stdout.read()  # type: ignore[union-attr]
            with closing(socket.socket()) as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.communicate()


@contextmanager
def haproxy(directory: Path, bind: str, server: str, mode: str = "tcp", more: str = "") -> Iterator[int]:
    """`bind` and `server`: what follows the address in HAProxy's lines of these names."""
    program, port = need("haproxy"), free_port()
    path = directory / "haproxy.cfg"
    path.write_text(
        f"defaults\n mode {mode}\n timeout connect 10s\n timeout client 20s\n timeout server 20s\n{more}\n"
        f"listen relay\n bind 127.0.0.1:{port} {bind}\n server s {server}\n"
    )
    with running([program, "-db", "-f", path], port) as listening:
        yield listening


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(directory: Path, http: str = "", stream: str = "") -> Iterator[int]:
    """The blocks of nginx; {port} in them is its port."""
    program, port = need("nginx"), free_port()
    path = directory / "nginx.conf"
    modules = ""
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    if stream and module.exists():
        modules = f"load_module {module};"
    folders = " ".join(f"{kind}_temp_path {directory};" for kind in _TEMPORARY)
    blocks = f"http {{ access_log off; {folders} {http.replace('{port}', str(port))} }}"
    if stream:
        blocks += f"stream {{ {stream.replace('{port}', str(port))} }}"
    path.write_text(
        f"{modules} daemon off; master_process off; pid {directory}/pid; error_log stderr crit;"
        f"events {{}} {blocks}"
    )
    with running([program, "-e", "stderr", "-c", path], port) as listening:
        yield listening
