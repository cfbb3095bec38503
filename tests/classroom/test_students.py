"""What each student of a classroom gets; classroom/tests has the hub itself."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from needs import skip_platform
from pages import ROOT

sys.path.insert(0, str(ROOT / "classroom"))

import students

LOOK = """
import os, resource, sys
print(os.getcwd(), os.nice(0), *(resource.getrlimit(what)[0] for what in
    (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)))
"""

# Notes its options, and runs what comes after them.
SYSTEMD = """#!/bin/sh
while [ "$1" != -- ]; do echo "$1" >>"$0.options"; shift; done
shift
exec "$@"
"""


def test_ranges_of_ports_do_not_meet() -> None:
    ranges = [tuple(map(int, students.ports_of(number).split("-"))) for number in range(1, 250)]
    assert all(last < first for (_, last), (first, _) in pairwise(ranges))
    assert ranges[-1][1] < 32_768  # where Linux begins to choose ports itself
    with pytest.raises(ValueError, match="student 300: there are ports for 254"):
        students.ports_of(300)


def test_each_has_a_home_and_a_place_to_submit() -> None:
    ann = students.environment("ann", 1, Path("/room/students/ann"), Path("/room/submitted"))
    ben = students.environment("ben", 2, Path("/room/students/ben"), Path("/room/submitted"))
    assert ann["LBKIT_SUBMIT_TO"] == "/room/submitted/ann"
    assert ann.keys() == ben.keys()
    assert not set(ann.values()) & set(ben.values())


def test_a_students_process_is_in_their_folder_and_limited(tmp_path: Path) -> None:
    if sys.platform == "win32":
        skip_platform("no rlimits on Windows")
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        preexec_fn=students.preparing(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    folder, nice, memory, cpu, files = done.stdout.split()
    assert Path(folder) == tmp_path.resolve()
    assert int(nice) >= students.NICE
    if sys.platform == "linux":
        assert 0 < int(memory) <= students.MEMORY
    assert 0 < int(cpu) <= students.CPU
    assert 0 < int(files) <= students.FILES


def test_a_group_has_limits_where_systemd_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = tmp_path / "systemd-run"
    systemd.write_text(SYSTEMD)
    systemd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    students.has_groups.cache_clear()
    try:
        assert students.has_groups()
        assert students.limited(["echo"])[-2:] == ["--", "echo"]
        options = (tmp_path / "systemd-run.options").read_text()
        assert {"--user", "--scope", "MemoryMax=1500M", "CPUQuota=100%"} <= set(options.split())
        systemd.write_text("#!/bin/sh\nexit 1\n")  # no session of systemd for this user
        students.has_groups.cache_clear()
        assert not students.has_groups()
        assert students.limited(["echo"]) == ["echo"]
    finally:
        students.has_groups.cache_clear()
