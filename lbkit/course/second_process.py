"""A second process, in which Python salts its hashes differently: what a learner's code does there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lbkit.course.task import Wrong

SALT = "1"  # PYTHONHASHSEED there; the checks' own process has 0

job: dict[str, Any] = {}  # of this process, set by child.py: the learner's source, and the checks' file


def elsewhere(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `work` returns in another process: a function of the checks' module, called as a check is,
    with these arguments after what the task defines. Arguments and answer are data for JSON.

    Raises Wrong if the code fails there."""
    with tempfile.TemporaryDirectory(prefix="lbkit-elsewhere-") as folder:
        order, answers = Path(folder, "job.json"), Path(folder, "answers.jsonl")
        wanted = {"names": [], "work": [work.__module__, work.__name__], "arguments": arguments}
        order.write_text(json.dumps(job | wanted))
        subprocess.run(
            [sys.executable, "-P", "-m", "lbkit.course.child", str(order), str(answers)],
            env=os.environ | {"PYTHONHASHSEED": SALT},
            check=False,
        )
        lines = answers.read_text().splitlines() if answers.exists() else []
    last = json.loads(lines[-1]) if lines else {}
    if "answer" not in last:
        ended = last.get("problem", "the code ended its process")
        raise Wrong("that the code does the same in a second process as in the first", f"there, {ended}")
    return last["answer"]
