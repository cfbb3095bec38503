from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lbkit import Experiment, Traffic, forget, servers
from lbkit.capacity import servers_needed
from lbkit.cli import app


@pytest.fixture
def today(tmp_path: Path) -> Path:
    path = tmp_path / "today.toml"
    Experiment(servers(2), Traffic(duration=20)).at_load(0.7).save_file(path)
    return path


def plan(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["plan", *(str(a) for a in arguments)])
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


def test_a_plan_is_that_of_servers_needed(today: Path) -> None:
    shown = plan(today, "--limit", 0.5, "--scale", 3, "--seeds", 3)
    found = servers_needed(Experiment.load_file(today), 0.5, scale=3, seeds=3)
    assert found.statement in shown
    assert found.failure in shown
    for row in found.rows():
        assert row[0] in shown
        assert row[-1] in shown


def test_several_algorithms_have_an_answer_each(today: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(
        "from lbkit import Balancer\n\n\nclass FirstOfAll(Balancer):\n"
        "    def pick(self, backends, key, now):\n        return backends[0]\n"
    )
    shown = plan(today, "-p", "random", "-p", f"{own}:FirstOfAll", "--limit", 1, "--scale", 0.5, "--seeds", 2)
    forget("first_of_all")
    assert shown.count("enough for p99") == 2
    assert shown.count("first_of_all") == 2  # over its own table, and in the last one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "has no algorithm FirstOfAll: there is none"),
        ("class Other: ...\n", "has no algorithm FirstOfAll"),
        ("1 / 0\n", "ZeroDivisionError"),
        (None, "No such file"),
    ],
)
def test_a_file_without_the_algorithm_is_a_line(
    today: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    own = tmp_path / "mine.py"
    if text is not None:
        own.write_text(text)
    shown = plan(today, "-p", f"{own}:FirstOfAll", code=2)
    assert said in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--limit", 0.0001), "no number of servers is enough"),
        (("--limit", 0), "limit is 0"),
        (("--scale", 9, "--most", 2), "most is 2"),
    ],
)
def test_a_wrong_wish_is_a_line(today: Path, arguments: tuple[object, ...], said: str) -> None:
    shown = plan(today, *arguments, code=2)
    assert said in shown
    assert "Traceback" not in shown


def test_a_missing_file_is_a_line(tmp_path: Path) -> None:
    assert "No such file" in plan(tmp_path / "none.toml", code=2)
