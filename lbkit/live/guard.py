"""Runs a program that must not outlive its parent: `python -m lbkit.live.guard PROGRAM ARGUMENT...`.

It ends the program when its own standard input ends, which the kernel sees to even if the
parent is killed, and ends itself when the program does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE = 3.0  # seconds between asking the program to end and ending it


def main() -> int:
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)

    def until_orphaned() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        program.terminate()
        try:
            program.wait(GRACE)
        except subprocess.TimeoutExpired:
            program.kill()

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end of standard input is the only way
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=until_orphaned, daemon=True).start()
    code = program.wait()
    with contextlib.suppress(OSError):
        os.killpg(program.pid, signal.SIGKILL)  # workers that a master that crashed left behind
    return code


if __name__ == "__main__":
    sys.exit(main())
