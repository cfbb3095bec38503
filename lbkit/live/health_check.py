"""Whether /health passes at a port of 127.0.0.1, as an exit code: what a container's health check runs.

As a file, not as a module: to import lbkit takes a container with a quarter of a processor seconds."""

import sys
import urllib.request


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if healthy(int(sys.argv[1])) else 1)
