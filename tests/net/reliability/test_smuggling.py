"""Payloads of request smuggling, with a strict reader, a real nginx and a real Apache behind the proxy.

The laws, for each payload: what a backend has read is exactly what has been answered, by number and target; a
backend finds nothing to complain about; a request that one reader would take for a body never arrives as a
request; and the next client, whose request goes over the same connections, gets its own answer.
"""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from needs import need
from net.corpus.wire import NotClean, Requests, take_answer, values
from net.reliability.payloads import AFTER, NO_CODING, PAYLOADS
from scripted import TIMEOUT, Connection, Scripted, pool_of

from lbkit.live.peers.apache import MODULE_FOLDERS
from lbkit.live.program import free_ports
from lbkit.net import Proxy
from lbkit.net.settings import Timeouts

pytestmark = pytest.mark.live

NGINX = """
daemon off; error_log {dir}/error crit; pid {dir}/pid; worker_processes 1;
events {{ }}
http {{
  log_format seen '$status $request'; access_log {dir}/seen seen;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{
    listen 127.0.0.1:{port}; ignore_invalid_headers off; merge_slashes off;
    location / {{ add_header X-Seen $request always; return 200 "ok"; }}
  }}
}}
"""
APACHE = """
ServerName a
ServerRoot {dir}
DefaultRuntimeDir {dir}
PidFile {dir}/pid
ErrorLog {dir}/error
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule headers_module {modules}/mod_headers.so
DocumentRoot {dir}/htdocs
User {user}
TraceEnable on
LogFormat "%>s %r" seen
CustomLog {dir}/seen seen
Header always set X-Seen "expr=%{{THE_REQUEST}}"
"""


class Behind(NamedTuple):
    """A backend, and the lines that it has logged: the status that it answered, and the request line."""

    port: int
    seen: Callable[[], list[str]]


# -- the backends --------------------------------------------------------------------------------------


@contextmanager
def program(folder: Path, port: int, *command: str) -> Iterator[Behind]:
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield Behind(port, lambda: (folder / "seen").read_text("latin-1").splitlines())
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def nginx(folder: Path) -> Iterator[Behind]:
    path = need("nginx")
    (port,) = free_ports(1)
    (folder / "conf").write_text(NGINX.format(dir=folder, port=port))
    with program(folder, port, path, "-c", str(folder / "conf"), "-p", str(folder)) as behind:
        yield behind


@contextmanager
def apache(folder: Path) -> Iterator[Behind]:
    path = need("apache2")
    modules = next(one for one in MODULE_FOLDERS if Path(one).is_dir())
    (port,) = free_ports(1)
    (folder / "htdocs").mkdir()
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    text = APACHE.format(dir=folder, port=port, modules=modules, user="www-data" if user == "root" else user)
    (folder / "conf").write_text(text)
    with program(folder, port, path, "-d", str(folder), "-f", str(folder / "conf"), "-DFOREGROUND") as behind:
        yield behind


@contextmanager
def strict(folder: Path) -> Iterator[Behind]:
    """A reader that takes nothing that could be read in two ways."""
    seen: list[str] = []
    lock = threading.Lock()

    def script(connection: Connection) -> None:
        requests = Requests()
        while data := connection.sock.recv(65536):
            try:
                messages = requests.feed(data)
            except NotClean as error:
                seen.append(f"400 {error}")
                return
            for message in messages:
                line = message.first_line
                with lock:
                    seen.append(f"200 {line.decode('latin-1')}")
                body = b"" if line.startswith(b"HEAD ") else b"ok"
                connection.send(
                    b"HTTP/1.1 200 OK\r\nX-Seen: %b\r\nContent-Length: 2\r\n\r\n%b" % (line, body)
                )

    with Scripted(script) as backend:
        yield Behind(backend.port, lambda: list(seen))


# -- the laws ------------------------------------------------------------------------------------------


def sent(proxy: Proxy, data: bytes) -> bytes:
    """Send it all, and return all that comes until the proxy closes."""
    got = b""
    with socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) as client:
        try:
            client.sendall(data)
            while piece := client.recv(65536):
                got += piece
        except ConnectionError:
            pass
    return got


def targets(got: bytes, first: bytes) -> list[str]:
    """Return the targets that a backend says it has answered. `first`: the method of the first request."""
    found, method = [], first
    while taken := take_answer(got, method, True):
        message, got = taken
        if message.head[9:10] == b"1":
            continue
        found += [target_of(value.decode("latin-1")) for value in values(message.head, b"X-Seen")]
        method = b"GET"
    return found


def target_of(line: str) -> str:
    return re.split("[ ?]", line)[1]


def readable(name: str) -> bool:
    """Whether the stream has one reading only, in which a pipelined `/smuggled` is a request like another."""
    kind, _, what = name.partition(", ")
    return kind not in ("CL.TE", "TE.CL") or what in NO_CODING


@pytest.mark.parametrize("kind", [strict, nginx, apache], ids=lambda kind: kind.__name__)
def test_every_request_is_one_request(kind: Callable[[Path], object], tmp_path: Path) -> None:
    timeouts = Timeouts(head=0.3, read=0.5, idle=0.3)
    with kind(tmp_path) as behind, Proxy(pool_of(behind.port), timeouts=timeouts) as proxy:  # type: ignore[attr-defined]
        answered: Counter[str] = Counter()
        wrong: list[str] = []
        for number, (name, payload) in enumerate(PAYLOADS.items()):
            found = targets(sent(proxy, numbered(payload + AFTER, number)), payload.partition(b" ")[0])
            got = targets(sent(proxy, numbered(NEXT, number)), b"GET")
            if got != [f"/n{number:04}"]:
                wrong.append(f"{name}: the next client got {got}")
            if f"/smug{number:04}" in found and not readable(name):
                wrong.append(f"{name}: it is two requests, {found}")
            answered.update([*found, *got])
        assert wrong == []
        seen = logged(behind, answered)
    names = list(PAYLOADS)
    # Apache logs what never came to its end, too: the proxy has given it up with a 408.
    seen = [
        line for line in seen if not (line[:3] == "400" and names[int(line.split(" ")[2][-4:])] == ENDLESS)
    ]
    refused = [line for line in seen if line.startswith("400")]
    assert [(line, names[int(line.split(" ")[2][-4:])]) for line in refused] == []
    counted = Counter(target_of(line[4:]) for line in seen)
    unlike = {target for target in counted | answered if counted[target] != answered[target]}
    assert {(target, names[int(target[-4:])]) for target in unlike} == set()


ENDLESS = "chunks with a size of 33 bits"
NEXT = b"GET /next_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def numbered(data: bytes, number: int) -> bytes:
    """Return the stream with the payload's number in its targets, and of the same length."""
    for target in (b"/outer", b"/smuggled", b"/after", b"/next_"):
        data = data.replace(target, b"%b%04d" % (target[:-4], number))
    return data


def logged(behind: Behind, answered: Counter[str]) -> list[str]:
    """Return the lines, once there is one for each answer. A line is written after its answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = behind.seen()
        if Counter(target_of(line[4:]) for line in lines if line[:3] != "400") >= answered:
            break
        time.sleep(0.02)
    return behind.seen()


def test_the_payloads_are_many_and_all_different() -> None:
    assert len(PAYLOADS) > 400
    assert len(set(PAYLOADS.values())) == len(PAYLOADS)
