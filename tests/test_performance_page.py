"""The commands of docs/performance.md exist, with their options."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

import lbkit

ROOT = Path(lbkit.__file__).parents[1]
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists(command: str) -> None:
    words = shlex.split(command, comments=True)
    while "=" in words[0]:  # a variable of the environment
        del words[0]
    match words:
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        case ["python", "-m", module, *options]:
            spec = find_spec(module)
            assert spec is not None
            if spec.submodule_search_locations:
                spec = find_spec(f"{module}.__main__")
            assert spec is not None
            assert spec.origin is not None
            source = Path(spec.origin).read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in options if option.startswith("--"))
        case _:
            pytest.fail(f"a command that this test does not know: {command}")


def test_every_section_has_a_command() -> None:
    for section in PAGE.split("\n## ")[1:]:
        assert "```sh\n" in section, section.partition("\n")[0]
