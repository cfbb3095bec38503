"""A check can ask what the learner's code does in another process, where hashes are salted differently."""

from __future__ import annotations

from pathlib import Path

from lbkit.course import Lab

LAB = Lab(Path(__file__).parent / "salted")


def test_a_salted_hash_is_another_number_there() -> None:
    report = LAB.check("def number(text): return hash(text)\n", "number.py")
    assert report.failed == ["the-same-there"]
    assert LAB.check("def number(text): return len(text)\n", "number.py").solved


def test_code_that_fails_there_fails_the_check_in_a_sentence() -> None:
    code = "import os\ndef number(text): return 1 / (os.environ['PYTHONHASHSEED'] == '0')\n"
    outcome = LAB.check(code, "number.py").outcomes[0]
    assert outcome.happened.startswith("there, it raised ZeroDivisionError")
    code = "import os\nif os.environ['PYTHONHASHSEED'] != '0': os._exit(1)\ndef number(text): return 1\n"
    assert LAB.check(code, "number.py").outcomes[0].happened == "there, the code ended its process"
