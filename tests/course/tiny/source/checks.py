"""A task for tests: a function that doubles."""

from lbkit.course import Steps, Task, Times, expect

task = Task("Double", "double", ("double",), minutes=1, difficulty=1, before="nothing")


@task.check(points=1)
def doubles(double):
    """Two becomes four."""
    got = double(2)
    expect(got == 4, "4", repr(got), "add it to itself", Steps(["2", "4"], ["2", str(got)]))


@task.check(points=2, seconds=2.0)
def doubles_texts(double):
    """A text is doubled, too."""
    got = double("ab")
    expect(got == "abab", "abab", repr(got), picture=Times({"texts": [0.5]}, 1.0, (0.2, 0.6)))


@task.check(points=4, hidden=True)
def doubles_zero(double):
    """The instructor's secret: zero stays zero."""
    expect(double(0) == 0, "the secret number", f"{double(0)}")
