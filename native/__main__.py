"""python -m native: compiles lbkit's hot modules for the Python that runs this.

--if-possible: if that fails, prints a line and exits with 0; does nothing if LBKIT_PURE is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from native.table import ROOT, CompileError, extensions, modules, up_to_date, why_not


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process builds here: they would write the same files."""
    if sys.platform == "win32":  # has no such lock
        yield
        return
    import fcntl

    work = ROOT / "build" / "native"
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise CompileError(f"{error.filename}: {error.strerror}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    started, folder = monotonic(), extensions.FOLDER
    if up_to_date(folder):
        return
    if reason := why_not():
        raise CompileError(reason)
    count = len(modules())
    print(
        f"lbkit: compiling {count} modules, once, in some minutes; readable Python runs until then",
        flush=True,
    )
    try:
        from native.build import build
    except ImportError as error:
        raise CompileError(f"{error}: use the extra lbkit-lab[compile]") from None
    with alone():
        if not up_to_date(folder):  # another process may have built them meanwhile
            build(folder)
    print(
        f"lbkit: compiled in {monotonic() - started:.0f} s; kernels that run already need a restart to use it"
    )


if __name__ == "__main__":
    possible = "--if-possible" in sys.argv
    if possible and os.environ.get("LBKIT_PURE", "0") not in ("", "0"):
        sys.exit()
    try:
        main()
    except CompileError as error:
        if possible:
            print(f"lbkit: runs as readable Python, which is slower: {str(error).splitlines()[-1]}")
        else:
            sys.exit(f"{error}\nlbkit: its modules were not compiled")
