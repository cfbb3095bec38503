"""The question bank: answers are computed, wrong options stand for misconceptions, exports hold all of it."""

from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lbkit
from lbkit.cli import app
from lbkit.course.bank import (
    FORMATS,
    Choice,
    Number,
    Option,
    Question,
    Undecided,
    Variant,
    all_questions,
    export,
    find_questions,
    variants,
)
from lbkit.course.bank.export import amount
from lbkit.course.bank.question import Questions, Scale, bands, extreme

NOTEBOOKS = Path(lbkit.__file__).parents[1] / "notebooks"
BANK = all_questions()
SEEDS = ("ann", "bob", 3)


@cache
def drawn(name: str, seed: int | str) -> Variant:
    """Each is simulated once for all tests of a process."""
    return find_questions([name])[0].variant(seed)


def test_there_are_questions_on_every_notebook_of_each_kind() -> None:
    assert len(BANK) >= 60
    assert len({question.name for question in BANK}) == len(BANK)
    notebooks = {path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb")}
    assert {question.notebook for question in BANK} == notebooks
    for kinds in ([q.numeric for q in BANK], [not q.numeric for q in BANK], [q.what_if for q in BANK]):
        assert sum(kinds) >= 20


@pytest.mark.parametrize("question", BANK, ids=lambda question: question.name)
def test_a_question_points_to_a_cell_of_its_notebook(question: Question) -> None:
    book = json.loads((NOTEBOOKS / f"{question.notebook}.ipynb").read_text(encoding="utf-8"))
    assert question.cell in [cell["id"] for cell in book["cells"]]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("question", BANK, ids=lambda question: question.name)
def test_the_kit_answers_each_question(question: Question, seed: int | str) -> None:
    asked = drawn(question.name, seed).asked
    assert asked.text.endswith(("?", ".)", "this is"))
    assert asked.why.endswith(".")
    assert re.findall(r"(?<![\d.,/^])1 [a-z]{2,}s\b", f"{asked.text} {asked.why}") == []  # "1 servers"
    if isinstance(asked, Choice):
        assert sum(option.holds for option in asked.options) == 1
        assert all(option.thinks for option in asked.options if not option.holds)
        assert len({option.text for option in asked.options}) == len(asked.options)
    else:
        assert asked.accepts(asked.answer)
        assert asked.slips
        assert not any(map(asked.accepts, asked.slips.values()))


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1, "servers", "1 server"),
        (1.001, "euros an hour", "1 euro an hour"),
        (0.5, "s", "0.5 s"),
        (1, "ms", "1 ms"),
        (999.9999, "ms", "1,000 ms"),
        (2, "probes/s", "2 probes/s"),
    ],
)
def test_a_number_is_written_as_a_person_would(value: float, unit: str, said: str) -> None:
    assert amount(value, unit) == said


@pytest.mark.parametrize("question", BANK, ids=lambda question: question.name)
def test_students_get_other_numbers_and_the_same_each_time(question: Question) -> None:
    if cheap(question):
        assert len({repr(question.variant(seed).asked) for seed in range(12)}) > 1
    again = question.variant("ann")
    assert again == drawn(question.name, "ann")


def cheap(question: Question) -> bool:
    """Whether a dozen variants cost no simulation."""
    return not question.what_if and question.name not in ("00-was-it-luck", "03b-weight-in-rendezvous")


def test_a_number_is_right_within_its_tolerance() -> None:
    asked = Number("How many?", 100.0, "ms", "Because.", {"it is none": 0.0}, within=0.05)
    assert [asked.accepts(x) for x in (94.9, 95, 100, 105, 105.1)] == [False, True, True, True, False]
    with pytest.raises(Undecided, match="it is nearly all"):
        Number("How many?", 100.0, "ms", "Because.", {"it is nearly all": 98.0})


def test_a_choice_has_exactly_one_answer_and_every_wrong_one_a_reason() -> None:
    right, wrong = Option("a", True), Option("b", False, "b is a")
    assert Choice("Which?", (wrong, right), "So.").right is right
    for options in ((right, Option("c", True)), (wrong, Option("c", False, "x")), (right,)):
        with pytest.raises(Undecided):
            Choice("Which?", options, "So.")
    with pytest.raises(ValueError, match="misconception"):
        Choice("Which?", (right, Option("b", False)), "So.")


def test_numbers_that_decide_nothing_are_drawn_again() -> None:
    ask = Questions("00-playground")
    tried: list[int] = []

    @ask("title")
    def sometimes(draw: Any) -> Choice:
        tried.append(draw.randrange(3))
        return Choice("Is it 0?", (Option("yes", tried[-1] == 0), Option("never", tried[-1] > 5, "x")), "So.")

    @ask("title")
    def never(draw: Any) -> Choice:
        return Choice("Which?", (Option("yes", False, "x"), Option("no", False, "x")), "So.")

    found, hopeless = ask.questions
    assert found.variant(1).asked.text == "Is it 0?"
    assert tried[-1] == 0
    with pytest.raises(RuntimeError, match="00-never: none of 50 draws"):
        hopeless.variant(1)


def test_options_of_a_scale_keep_their_order() -> None:
    scale = bands(5.0, [("low", 0, 3, "x"), ("middle", 3, 6, ""), ("high", 6, 9, "y")])
    assert isinstance(scale, Scale)
    assert [option.holds for option in scale] == [False, True, False]
    kept = Question("q", "00-playground", "title", lambda draw: Choice("How?", scale, "So."))
    assert all([o.text for o in kept.variant(s).asked.options] == ["low", "middle", "high"] for s in range(9))
    mixed = Question("q", "00-playground", "title", lambda draw: Choice("How?", tuple(scale), "So."))
    assert len({tuple(o.text for o in mixed.variant(s).asked.options) for s in range(9)}) > 1


def test_the_extreme_has_to_be_clear() -> None:
    thinks = {"a": "a is small", "b": "b is small"}
    assert [o.holds for o in extreme({"a": 1.0, "b": 2.0}, thinks)] == [True, False]
    assert [o.holds for o in extreme({"a": 1.0, "b": 2.0}, thinks, most=True)] == [False, True]
    with pytest.raises(Undecided, match="too near"):
        extreme({"a": 1.0, "b": 1.1}, thinks)


def test_questions_are_found_by_notebook_and_by_name() -> None:
    assert {q.notebook for q in find_questions(["03", "07b"])} == {
        "03-algorithms",
        "07b-retries-and-breakers",
    }
    assert [q.name for q in find_questions(["03-hot-key"])] == ["03-hot-key"]
    assert find_questions([]) == BANK
    with pytest.raises(ValueError, match="03-hot-key"):
        find_questions(["03-hot-keys"])


# -- exports -----------------------------------------------------------------------------------------

SOME = ["00-busy-servers-spare-time", "03-order-of-turns", "07b-post-again"]


def some() -> list[Variant]:
    return [drawn(name, "ann") for name in SOME]


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_answers_are_there_only_if_asked_for(form: str) -> None:
    without, with_answers = (export(some(), form, answers) for answers in (False, True))
    for variant in some():
        assert variant.asked.why.split("<")[0][:30] not in without
    assert "a server that is not full has no queue" in with_answers
    assert "a server that is not full has no queue" not in without


def test_the_page_is_well_formed_and_says_nothing_else() -> None:
    opened: list[str] = []

    class Checks(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    text = export(some(), "html", answers=True, title="a < b")
    Checks().feed(text)
    assert opened == []
    assert "<h1>a &lt; b</h1>" in text
    assert "<script" not in text


def gift_grade(text: str, answer: str) -> float:
    """Return what Moodle gives for a number: the points of the first range that has it, from 0 to 1."""
    for points, value, tolerance in re.findall(r"^=(?:%(\d+)%)?([-\d.e+]+):([-\d.e+]+)#", text, re.M):
        if abs(float(answer) - float(value)) <= float(tolerance) * (1 + 1e-3):
            return float(points or 100) / 100
    return 0.0


def test_gift_grades_as_the_bank_does() -> None:
    for variant in some():
        (text,) = export([variant], "gift").split("::")[-1:]
        asked = variant.asked
        if isinstance(asked, Number):
            assert gift_grade(text, f"{asked.answer}") == 1
            assert all(gift_grade(text, f"{slip}") == 0 for slip in asked.slips.values())
        else:
            assert len(re.findall(r"^=", text, re.M)) == 1
            assert len(re.findall(r"^~", text, re.M)) == len(asked.options) - 1


def test_gift_has_no_sign_of_its_own_in_a_text() -> None:
    odd = Choice("Is {a} = 1: yes?", (Option("~yes", True), Option("#no", False, "a: b")), "So.")
    text = export([Variant(BANK[0], 1, odd)], "gift")
    assert r"Is \{a\} \= 1\: yes?" in text
    assert re.findall(r"(?<!\\)[{}]", text) == ["{", "}"]


def test_formats_have_names() -> None:
    with pytest.raises(ValueError, match="markdown"):
        export(some(), "markdwn")


def test_the_command_writes_a_sheet(tmp_path: Path) -> None:
    runner, path = CliRunner(), tmp_path / "ann.html"
    done = runner.invoke(app, ["questions", *SOME, "--seed", "ann", "--format", "html", "-o", str(path)])
    assert done.exit_code == 0, done.output
    assert (
        path.read_text(encoding="utf-8").rstrip()
        == export(some(), "html", title="Questions on load balancing").rstrip()
    )
    listed = runner.invoke(app, ["questions", "03", "--list"]).output
    assert re.search(r"^03-hot-key +numeric$", listed, re.M)
    wrong = runner.invoke(app, ["questions", "3"])
    assert wrong.exit_code == 2
    assert "03" in wrong.output


def test_a_class_gets_a_sheet_each(tmp_path: Path) -> None:
    runner, seeds = CliRunner(), ["--seed", "ann", "--seed", "bob"]
    arguments = ["questions", "00-enough-servers", *seeds, "--format", "html"]
    for more in [], ["--answers"]:
        done = runner.invoke(app, [*arguments, *more, "-o", str(tmp_path / "sheets")])
        assert done.exit_code == 0, done.output
    texts = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "sheets").iterdir()}
    assert sorted(texts) == ["ann-answers.html", "ann.html", "bob-answers.html", "bob.html"]
    assert "balancing: ann" in texts["ann.html"]
    assert texts["ann.html"] != texts["bob.html"].replace("bob", "ann")  # other numbers
    assert 'class="answer"' not in texts["ann.html"]
    assert 'class="answer"' in texts["ann-answers.html"]
    assert "folder" in runner.invoke(app, arguments).output
    wrong = runner.invoke(app, [*arguments, "--seed", "../eve", "-o", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "../eve" in wrong.output


def test_the_command_knows_the_formats() -> None:
    from lbkit.cli.questions import Form

    assert [form.value for form in Form] == list(FORMATS)


def test_all_are_drawn_for_a_student() -> None:
    assert [v.question.name for v in variants(find_questions(["06"]), "ann")] == [
        q.name for q in BANK if q.notebook == "06-draining"
    ]
