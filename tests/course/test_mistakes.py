"""Mistakes are edits of a solution."""

from __future__ import annotations

import pytest

from lbkit.course.mistakes import edited, mistakes_in

SOLUTION = "def f():\n    x = 1\n    y = 2\n    return x\n"
TEXT = """# Typical mistakes

## Doubles

fails: one, another-check

Adds it twice.

```diff
-    x = 1
+    x = 2
@@
     y = 2
+    y = 3
```
"""


def test_an_edit_replaces_deletes_and_inserts_lines() -> None:
    mistake = mistakes_in(TEXT, SOLUTION)["Doubles"]
    assert mistake.fails == ("one", "another-check")
    assert mistake.code == "def f():\n    x = 2\n    y = 2\n    y = 3\n    return x\n"
    assert edited(SOLUTION, "-    x = 1\n-    y = 2\n") == "def f():\n    return x\n"
    assert edited(SOLUTION, "+import re\n def f():\n") == f"import re\n{SOLUTION}"


@pytest.mark.parametrize(
    ("solution", "times"), [("x = 1\n", 0), (SOLUTION.replace("x = 1", "x = 10"), 0), (SOLUTION * 2, 2)]
)
def test_lines_that_are_not_there_once_are_an_error(solution: str, times: int) -> None:
    with pytest.raises(ValueError, match=f"Doubles: these lines are {times} times in the solution"):
        mistakes_in(TEXT, solution)


def test_a_section_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="not all sections can be read, only Doubles"):
        mistakes_in(TEXT + "\n## Other\n\nfails nothing\n", SOLUTION)
