"""`lbkit proxy` with TLS, as a process with workers."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from needs import need_feature
from scripted import GET, TIMEOUT, Scripted, answers

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)
need_feature("cert")

from lbkit.net.tls.lab import make_certificates
from lbkit.net.tls.rules import Certificate, TlsRules
from lbkit.net.workers.stand_in import StandIn

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def test_workers_share_certificates_reload_them_and_survive_a_bad_file(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    make_certificates(lab, ["a.test", "b.test"])
    for end in ("pem", "key"):
        (tmp_path / f"site.{end}").write_bytes((lab / f"a.test.{end}").read_bytes())
    plain = free_port()
    said: list[str] = []
    context = ssl.create_default_context(cafile=str(lab / "ca.pem"))

    with Scripted(answers(OK)) as backend:
        (tmp_path / "proxy.toml").write_text(
            f"""
            listen = "127.0.0.1:0"
            workers = 2
            limits = {{ connections = 100 }}
            [[backends]]
            address = "127.0.0.1:{backend.port}"
            [tls]
            redirect = "127.0.0.1:{plain}"
            reload = 0.0
            [[tls.certificates]]
            cert = "{tmp_path}/site.pem"
            key = "{tmp_path}/site.key"
            """
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "lbkit", "proxy", str(tmp_path / "proxy.toml")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        lines = process.stderr
        reader = threading.Thread(target=lambda: said.extend(lines))
        reader.start()

        def says(text: str, times: int = 1) -> bool:
            assert process.poll() is None, said
            return sum(text in line for line in said) >= times

        def asked(name: str) -> bytes:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock,
                context.wrap_socket(sock, server_hostname=name) as tls,
            ):
                tls.sendall(GET)
                return tls.recv(1000)

        def served(name: str) -> bool:
            with suppress(OSError):
                return asked(name).startswith(b"HTTP/1.1 200 ")
            return False

        try:
            until(lambda: says(" on https://"))
            line = next(line for line in said if " on https://" in line)
            port = int(line.partition("https://127.0.0.1:")[2].partition(",")[0])
            for _ in range(10):
                assert served("a.test")
                with socket.create_connection(("127.0.0.1", plain), timeout=TIMEOUT) as sock:
                    sock.sendall(GET)
                    head = sock.recv(1000)
                assert head.startswith(b"HTTP/1.1 308 ")
                assert b"Location: https://a:%d/\r\n" % port in head

            (tmp_path / "site.key").write_bytes((lab / "b.test.key").read_bytes())
            process.send_signal(signal.SIGHUP)  # certificate and key do not belong together
            until(lambda: says("tls.certificates[0].key is"))
            assert served("a.test")

            (tmp_path / "site.pem").write_bytes((lab / "b.test.pem").read_bytes())
            process.send_signal(signal.SIGHUP)
            until(lambda: says("reloaded: "))
            until(lambda: served("b.test"))
        finally:
            process.terminate()
            try:
                assert process.wait(TIMEOUT) in (0, -signal.SIGTERM)
            finally:
                process.kill()
                reader.join(TIMEOUT)
                process.stderr.close()
        assert not any("Traceback" in line for line in said), said


def test_the_stand_in_answers_by_tls(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["a.test"])
    rules = TlsRules(certificates=Certificate(str(tmp_path / "a.test.pem"), str(tmp_path / "a.test.key")))
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    async def answer(port: int) -> bytes:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="a.test"
        )
        writer.write(GET)
        data = await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return data

    async def main() -> bytes:
        stand_in = StandIn(rules)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            await stand_in.start([sock])
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await answer(sock.getsockname()[1])
            finally:
                stand_in.stop()

    assert asyncio.run(main()).startswith(b"HTTP/1.1 503 ")
