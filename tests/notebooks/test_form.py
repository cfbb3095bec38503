"""What every notebook has: an opening, a glossary at hand, stripped outputs, links that lead somewhere."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from notebooks.book import FOLDER, INDEX, NOTEBOOKS, SOLUTIONS, Cell, cells

ALL = [INDEX, *NOTEBOOKS, *SOLUTIONS]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_file = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)

LINK = re.compile(r"\]\(([^)\s]+)\)")


def text(path: Path) -> str:
    return "\n".join(cell.source for cell in cells(path) if cell.kind == "markdown")


@each_notebook
def test_it_opens_with_what_one_will_be_able_to_do_the_minutes_and_the_needs(path: Path) -> None:
    opening = cells(path)[0].source
    assert opening.startswith("# ")
    for part in ("*You will be able to:*", "minutes", "*Needs:*", "(glossary.md)"):
        assert part in opening


HEADING = re.compile(r"^(#+) ", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@each_file
def test_it_has_one_title_and_no_level_of_headings_is_skipped(path: Path) -> None:
    levels = [len(marks) for marks in HEADING.findall(FENCED.sub("", text(path)))]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert [(a, b) for a, b in pairwise(levels) if b > a + 1] == []


@each_file
def test_it_is_stored_without_outputs_and_with_names_of_its_cells(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert "widgets" not in book["metadata"]
    generated = re.compile(r"[0-9a-f]{8}")
    assert [cell["id"] for cell in book["cells"] if generated.fullmatch(cell["id"])] == []


@each_file
def test_no_code_cell_has_more_than_twenty_lines(path: Path) -> None:
    code = [cell.source for cell in cells(path) if cell.kind == "code"]
    assert [source for source in code if len(source.splitlines()) > 20] == []


@each_file
def test_links_to_other_files_lead_to_files(path: Path) -> None:
    inner = [link for link in LINK.findall(text(path)) if "://" not in link and not link.startswith("#")]
    # In a learner's workbook the labs are beside the notebooks.
    placed = [FOLDER.parent / link if link.startswith("labs/") else path.parent / link for link in inner]
    assert [place for place in placed if not place.with_name(place.name.partition("#")[0]).is_file()] == []


def test_links_of_the_glossary_lead_to_files() -> None:
    glossary = FOLDER / "glossary.md"
    links = LINK.findall(glossary.read_text(encoding="utf-8"))
    assert [link for link in links if not (FOLDER / link).is_file()] == []


@each_notebook
def test_no_cell_asserts_on_the_present_state_of_a_widget(path: Path) -> None:
    """A learner moves sliders: what a cell asserts then must not depend on them."""
    code = [cell for cell in cells(path) if cell.kind == "code"]
    widgets = {
        name
        for cell in code
        for name in re.findall(
            r"^(\w+) = (?:Playground|Scene|Workbench|predict|(?:Rule)?Explorer|EngineSelector"
            r"|(?:Layer|Limiter|Health|Live|GameDay)Panel)\(",
            cell.source,
            re.M,
        )
    }
    asserting = [cell for cell in code if re.search(r"^\s*assert ", cell.source, re.M)]
    # A scene's `results` are those of a step as it begins.
    used = re.compile(rf"\b({'|'.join(sorted(widgets)) or '(?!)'})\b\.(?!results\()")
    assert [cell.id for cell in asserting if used.search(cell.source)] == []


PLAIN = {"load", "clients"}  # words that need no other name


@each_notebook
def test_each_control_of_a_scene_or_an_explorer_has_a_plain_name(path: Path) -> None:
    code = [ast.parse(cell.source) for cell in cells(path) if cell.kind == "code"]
    nodes = [node for cell in code for node in ast.walk(cell)]
    assigned = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in nodes:
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("Scene", "Explorer"):
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            labels = given.get("labels")
            labels = assigned[labels.id] if isinstance(labels, ast.Name) else labels
            named = {ast.literal_eval(key) for key in getattr(labels, "keys", ())}
            assert set(controlled(call)) <= named | PLAIN


def controlled(call: ast.Call) -> Iterator[str]:
    """Yield the arguments of a Scene's steps, or of an Explorer, that have a control."""
    for part in (call, *(step for step in call.args if isinstance(step, ast.Call))):
        for keyword in part.keywords:
            value = keyword.value
            switch = isinstance(value, ast.Constant) and isinstance(value.value, bool)
            if keyword.arg and (switch or isinstance(value, ast.Tuple | ast.List)):
                yield keyword.arg


ASKED = re.compile(r"^(?:(\w+) = )?predict\(\s*\"([\w-]+)\"", re.M)
PREDICTED = ("00", "01", "02", "03", "03b", "04", "05", "06", "07", "07b", "08", "09", "10", "11", "12")


def test_a_prediction_comes_before_the_main_idea_and_is_revealed_by_what_was_computed() -> None:
    for path in NOTEBOOKS:
        code = [cell.source for cell in cells(path) if cell.kind == "code"]
        asked = [(number, *found) for number, source in enumerate(code) for found in ASKED.findall(source)]
        assert asked or path.stem.partition("-")[0] not in PREDICTED, f"{path.stem} predicts nothing"
        for number, variable, name in asked:
            told = [call for source in code[number + 1 :] for call in revealed(variable, source)]
            assert told, f"{name} is never revealed"
            fixed = re.compile(r"(lambda.*: )?([\d.]+|\".*\")")
            assert not any(fixed.fullmatch(value) for value in told), f"{name} is hard-coded"


def revealed(variable: str, source: str) -> list[str]:
    """Return what a cell reveals, itself or as the outcome of a scene's step."""
    by_cell = re.findall(rf"\b{variable}\.reveal\((.*)\)", source)
    return by_cell + re.findall(rf"\bask={variable},\s*outcome=(.+?)(?:,\s|$)", source, re.M)


def test_each_prediction_of_the_course_has_a_name_of_its_own() -> None:
    labs = (FOLDER.parent / "labs").glob("*/source/notebook.md")
    texts = [cell.source for path in NOTEBOOKS for cell in cells(path)] + [lab.read_text() for lab in labs]
    names = [name for source in texts for _, name in ASKED.findall(source)]
    assert len(names) >= 20
    assert sorted(set(names)) == sorted(names)


@each_notebook
def test_each_exercise_has_a_solution(path: Path) -> None:
    exercises = exercises_of(cells(path))
    if not exercises:
        return
    solved = FOLDER / "solutions" / f"{path.stem.partition('-')[0]}-solutions.ipynb"
    titles = re.findall(r"^## (\d+)\. ", text(solved), re.M)
    assert titles == [str(number) for number in range(1, len(exercises) + 1)]
    assert f"solutions/{solved.name}" in text(path)


def exercises_of(all_cells: list[Cell]) -> list[str]:
    last = all_cells[-1].source
    return re.findall(r"^\d+\. ", last.partition("## Exercises")[2], re.M)


def test_there_are_at_least_nineteen_exercises() -> None:
    assert sum(len(exercises_of(cells(path))) for path in NOTEBOOKS) >= 19
