"""`lbkit proxy` as a process: workers, signals, reload."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from scripted import GET, TIMEOUT, Client, Connection, Scripted, answers

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)


def says(word: bytes):
    return answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(word), word))


class Server:
    """A supervisor in a process of its own."""

    host = "127.0.0.1"

    def __init__(self, path: Path, *ports: int, **options: object) -> None:
        self.path = path
        self.options = options
        self.configure(*ports)
        code = "import sys; from lbkit.net.serve import main; main(sys.argv[1])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self.port = int(re.search(r":(\d+),", self.wait_for("workers")).group(1))

    def configure(self, *ports: int, **options: object) -> None:
        self.options |= options
        lines = ['listen = "127.0.0.1:0"']
        lines += [f"{key} = {value}" for key, value in self.options.items()]
        for port in ports:
            lines += ["[[backends]]", f'address = "127.0.0.1:{port}"']
        self.path.write_text("\n".join(lines))

    def _read(self) -> None:
        for line in self.process.stderr:
            self.said.append(line.rstrip())

    def wait_for(self, text: str) -> str:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            for line in list(self.said):
                if text in line:
                    return line
            assert self.process.poll() is None, self.said
            time.sleep(0.01)
        raise AssertionError(f"never said {text!r}: {self.said}")

    def workers(self) -> list[int]:
        found = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid="], capture_output=True, text=True
        )
        return [int(pid) for pid in found.stdout.split()]

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.reader.join(TIMEOUT)
        self.process.stderr.close()


def ask(server: Server) -> bytes:
    with Client(server) as client:
        client.send(GET)
        status, _, body = client.answer()
        assert status == 200, body
        return body


def wait_until(condition) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_workers_share_a_port_and_all_end(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2) as server:
        assert len(server.workers()) == 2
        assert {ask(server) for _ in range(20)} == {b"one"}
        pids = server.workers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert len(server.said) == 1, server.said  # workers die in silence, too


def test_reload_under_load_loses_nothing(path: Path) -> None:
    backends = Scripted(says(b"one")), Scripted(says(b"two"))
    with backends[0] as one, backends[1] as two, Server(path, one.port, workers=2) as server:
        seen: list[bytes] = []
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                try:
                    seen.append(ask(server))  # a new connection each: the hard case
                except (OSError, AssertionError) as error:
                    seen.append(repr(error).encode())

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(seen) > 100)
        server.configure(two.port)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reloaded")
        mark = len(seen)
        wait_until(lambda: len(seen) > mark + 200)
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT)
        assert set(seen) == {b"one", b"two"}  # and nothing failed on the way
        assert set(seen[-50:]) == {b"two"}


def test_workers_that_count_by_themselves_say_so(path: Path) -> None:
    limits = '[{ limiter = { kind = "gcra", rate = 1 } }]'
    with Scripted(says(b"one")) as backend:
        with Server(path, backend.port, workers=2, rate_limits=limits, admission="{ rate = 5 }") as server:
            server.wait_for(
                "each of 2 workers counts rate limits by itself; with [redis] they count together"
            )
            server.wait_for("each of 2 workers has an admission of its own: 2 times as much goes on in all")
        with Server(path, backend.port, workers=1, rate_limits=limits) as alone:
            assert ask(alone) == b"one"
        assert len(alone.said) == 1


def test_a_wrong_file_on_reload_changes_nothing(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        server.configure(backend.port, workers="'many'")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("not reloaded, going on as before: workers is 'many': use a whole number")
        assert ask(server) == b"one"


def test_term_waits_for_running_answers(path: Path) -> None:
    arrived, go = threading.Event(), threading.Event()

    def waits(connection: Connection) -> None:
        connection.head()
        arrived.set()
        go.wait(TIMEOUT)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    with Scripted(waits) as backend, Server(path, backend.port) as server, Client(server) as client:
        client.send(GET)
        assert arrived.wait(TIMEOUT)
        server.process.send_signal(signal.SIGTERM)
        go.set()
        assert client.answer()[2] == b"done"
        assert server.process.wait(TIMEOUT) == 0


def test_a_worker_that_dies_is_replaced(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        (pid,) = server.workers()
        os.kill(pid, signal.SIGKILL)
        server.wait_for("starting another")
        wait_until(lambda: server.workers() not in ([], [pid]))
        assert ask(server) == b"one"


def test_workers_do_not_outlive_their_supervisor(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2) as server:
        pids = server.workers()
        server.process.kill()
        wait_until(lambda: not any(running(pid) for pid in pids))


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_taken_port_is_told(path: Path) -> None:
    from lbkit.net import ProxyError
    from lbkit.net.serve import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path.write_text(f'listen = "127.0.0.1:{port}"\n[[backends]]\naddress = "127.0.0.1:1"')
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        handlers = [signal.getsignal(number) for number in numbers]
        try:
            with pytest.raises(ProxyError, match=f"127.0.0.1:{port}: the port is taken"):
                main(path)
        finally:
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)


def test_check_says_fine(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lbkit.net.serve import main

    path.write_text('[[backends]]\naddress = "127.0.0.1:1"')
    main(path, check=True)
    assert "fine, 1 backends, round_robin" in capsys.readouterr().out
