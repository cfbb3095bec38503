"""`lbkit proxy` in a process of its own, and the operator's commands."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from scripted import TIMEOUT


class Server:
    """`lbkit proxy` in a process of its own. `shell`: what goes before it, such as a limit."""

    host = "127.0.0.1"

    def __init__(
        self, path: Path, *ports: int, arguments: str = "", shell: str = "", **options: object
    ) -> None:
        self.path = path
        usual = {} if "mode" in options else {"limits": "{ connections = 200 }"}
        self.options = {"listen": '"127.0.0.1:0"', **usual, **options}
        self.configure(*ports)
        self.process = subprocess.Popen(
            ["sh", "-c", f'{shell} exec "$0" -m lbkit proxy "$1" {arguments}', sys.executable, str(path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        try:
            self.port = int(re.search(r":(\d+),", self.wait_for("://")).group(1))
        except BaseException:
            self.__exit__()
            raise

    def configure(self, *ports: int, **options: object) -> None:
        self.options |= options
        lines = [f"{key} = {value}" for key, value in self.options.items()]
        for port in ports:
            lines += ["[[backends]]", f'address = "127.0.0.1:{port}"']
        self.path.write_text("\n".join(lines))

    def _read(self) -> None:
        for line in self.process.stderr:
            self.said.append(line.rstrip())

    def wait_for(self, text: str, times: int = 1) -> str:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            found = [line for line in list(self.said) if text in line]
            if len(found) >= times:
                return found[-1]
            assert self.process.poll() is None, self.said
            time.sleep(0.01)
        raise AssertionError(f"never said {text!r}: {self.said}")

    def workers(self) -> list[int]:
        found = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid="], capture_output=True, text=True
        )
        return [int(pid) for pid in found.stdout.split()]

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exc: object) -> None:
        pids = self.workers()
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.reader.join(TIMEOUT)
            self.process.stderr.close()
        assert not any(running(pid) for pid in pids), "workers are left"
        assert not any("Traceback" in line for line in self.said), self.said


def wait_until(condition) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def drain(path: Path, *arguments: str, status: int = 0) -> list[str]:
    """Return what `lbkit drain` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "lbkit", "drain", str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return (done.stdout + done.stderr).splitlines()
