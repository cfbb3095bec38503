"""A bank of questions for exams and for discussions, whose answers the kit computes.

A question (question.py) is a function that draws numbers, runs an experiment or a law with them, and returns
what is asked: so each student can have other numbers, and no answer is written down. Choices are decided by
computed facts, and each wrong one names the misconception that it stands for. They are in `questions`, a
module for each notebook; export.py writes them as Markdown, HTML and GIFT (Moodle).
"""

from lbkit.course.bank.export import FORMATS, export
from lbkit.course.bank.question import Choice, Number, Option, Question, Undecided, Variant
from lbkit.course.bank.shelf import all_questions, find_questions, variants

__all__ = [
    "FORMATS",
    "Choice",
    "Number",
    "Option",
    "Question",
    "Undecided",
    "Variant",
    "all_questions",
    "export",
    "find_questions",
    "variants",
]
