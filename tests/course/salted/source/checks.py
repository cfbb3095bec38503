"""A task for tests: a number that is the same in each process."""

from lbkit.course import Task, elsewhere, expect

task = Task("Number", "number", ("number",), minutes=1, difficulty=1, before="nothing")


def work(number, text):
    return number(text)


@task.check(points=1)
def the_same_there(number):
    """Another process gets the same number."""
    here, there = number("ab"), elsewhere(work, "ab")
    expect(here == there, f"{here}", f"{there}")
