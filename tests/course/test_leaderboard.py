"""The board keeps an algorithm with its source, from which its score is made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lbkit import Balancer
from lbkit.course import all_labs, house, kept, leaderboard, score
from lbkit.course.lab import Lab
from lbkit.course.leaderboard import Entry, again, board, board_table, enter, lab_solutions
from lbkit.course.own_algorithm import algorithm_in
from lbkit.course.own_code import namespace

pytestmark = pytest.mark.usefixtures("own_algorithms", "small_house")

SOURCE = """class Emptiest(Balancer):
    def pick(self, backends, key, now):
        return min(backends, key=lambda b: b.in_flight)
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.json"
    monkeypatch.setenv("LBKIT_PROGRESS", str(path))
    return path


def test_an_entry_is_made_again_by_the_line_that_the_board_shows(file: Path) -> None:
    found = score(algorithm_in(SOURCE, "your code"))
    enter(found, SOURCE)
    algorithm_in(SOURCE.replace("min(", "max("), "your code")  # another one of this name since
    line = again("emptiest", board()["emptiest"])
    assert line == 'score(kept("emptiest")).points'
    assert eval(line, {"score": score, "kept": kept}) == found.points == board()["emptiest"].points
    assert json.loads(file.read_text())["board"]["emptiest"]["source"] == SOURCE


def test_a_line_of_the_house_repeats_its_score() -> None:
    for name, entry in leaderboard.of_the_house().items():
        assert eval(again(name, entry), {"score": score}) == entry.points


def test_the_same_name_again_takes_the_place_of_the_earlier_one() -> None:
    enter(score(algorithm_in(SOURCE, "your code")), SOURCE)
    worse = SOURCE.replace("min(", "max(")
    enter(score(algorithm_in(worse, "your code")), worse)
    assert [entry.source for entry in board().values()] == [worse]


def test_a_score_that_is_not_final_is_not_entered() -> None:
    first = next(house.scoring(algorithm_in(SOURCE, "your code")))
    with pytest.raises(ValueError, match="the score of emptiest is not final: 1 runs"):
        enter(first, SOURCE)


def test_an_unknown_entry_is_an_error_that_names_those_there_are() -> None:
    enter(score(algorithm_in(SOURCE, "your code")), SOURCE)
    with pytest.raises(ValueError, match="emptiest"):
        kept("emptyest")


def test_the_table_ranks_and_tells_which_are_not_kept() -> None:
    table = board_table(
        {
            "<mine>": Entry(dict.fromkeys(house.SCENARIOS, 0.5)),
            "random": Entry(dict.fromkeys(house.SCENARIOS, 0.9)),
        }
    )
    assert table.index("random") < table.index("&lt;mine&gt;")
    assert "put it on your board first" in table
    assert "<b>0.90</b>" in table
    assert "<b>0.50</b>" not in table


def test_labs_whose_solutions_are_balancers_are_known() -> None:
    found = []
    for lab in all_labs():
        source = next(iter(lab.right.values())).read_text()
        made = namespace(compile(source, lab.name, "exec", dont_inherit=True))[lab.task.defines[0]]
        if isinstance(made, type) and issubclass(made, Balancer):
            found.append(lab.name)
    assert tuple(found) == leaderboard.LABS


def test_a_lab_that_was_begun_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = all_labs()[0]
    own = tmp_path / lab.name
    shutil.copytree(lab.folder, own)
    monkeypatch.setattr(Lab, "own_folder", own)
    monkeypatch.setattr(leaderboard, "LABS", (lab.name,))
    assert lab_solutions() == {}  # the starter
    solution = lab.right["earliest_turn"].read_text()
    (own / "turns.py").write_text(solution)
    assert lab_solutions() == {lab.name: solution}
    assert score(algorithm_in(solution, "lab")).points > 0
