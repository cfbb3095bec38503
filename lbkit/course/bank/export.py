"""Questions as Markdown, as HTML, and as GIFT, which Moodle imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from lbkit.core.text import unknown
from lbkit.course.bank.question import Choice, Number, Variant

LETTERS = "abcdefgh"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: #1f2328; background: #fff; }}
ol.questions > li {{ margin: 0 0 1.6rem; break-inside: avoid; }}
ol.options {{ list-style: lower-alpha; margin: .4rem 0; }}
.blank {{ display: inline-block; min-width: 7rem; border-bottom: 1px solid; }}
.answer {{ margin: .4rem 0 0; padding: .4rem .8rem; background: #f2f5f9; border-left: 3px solid #0b57d0; }}
</style>
</head>
<body>
<h1>{title}</h1>
<ol class="questions">
{items}
</ol>
</body>
</html>
"""


def number(value: float) -> str:
    """Return a number as a person would write it."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 999.5 else f"{value:.3g}"


def amount(value: float, unit: str) -> str:
    """Return a number with its unit: 2 servers, 1 server, 17.5 s."""
    first, space, rest = unit.partition(" ")
    one = number(value) == "1" and len(first) > 2  # "s" and "ms" are no plurals
    return f"{number(value)} {first.removesuffix('s') if one else first}{space}{rest}"


def right_answer(variant: Variant, tolerance: bool = True) -> str:
    """Return the answer in words; with `tolerance`, also how far a number may be off to be right."""
    asked = variant.asked
    if isinstance(asked, Choice):
        return f"{LETTERS[asked.options.index(asked.right)]}) {asked.right.text}"
    exact = "" if not (tolerance and asked.within) else f" (± {number(asked.tolerance)})"
    return f"{amount(asked.answer, asked.unit)}{exact}"


def misconceptions(variant: Variant) -> list[tuple[str, str]]:
    """Return each wrong answer with the misconception behind it."""
    asked = variant.asked
    if isinstance(asked, Choice):
        return [(o.text, o.thinks) for o in asked.options if not o.holds]
    return [(amount(slip, asked.unit), thinks) for thinks, slip in asked.slips.items()]


# -- Markdown ------------------------------------------------------------------------------------


def markdown(asked: Sequence[Variant], answers: bool, title: str) -> str:
    """Return the questions as a page of Markdown; with `answers`, what each wrong one stands for, too."""
    parts = [f"# {title}\n"]
    for place, variant in enumerate(asked, 1):
        parts.append(f"**{place}.** {variant.asked.text}\n")
        if isinstance(variant.asked, Choice):
            options = zip(LETTERS, variant.asked.options, strict=False)
            parts.append("\n".join(f"- {letter}) {option.text}" for letter, option in options) + "\n")
        else:
            parts.append(f"Answer: ________ {variant.asked.unit}\n")
        if answers:
            wrong = "\n".join(f"> - {what}: “{thinks}”" for what, thinks in misconceptions(variant))
            cell = f"{variant.question.notebook}, cell `{variant.question.cell}`"
            parts.append(f"> **{right_answer(variant)}.** {variant.asked.why} ({cell})\n>\n{wrong}\n")
    return "\n".join(parts)


# -- HTML ----------------------------------------------------------------------------------------


def html(asked: Sequence[Variant], answers: bool, title: str) -> str:
    """Return the questions as a page to print, without any script."""
    return PAGE.format(title=escape(title), items="\n".join(_item(variant, answers) for variant in asked))


def _item(variant: Variant, answers: bool) -> str:
    if isinstance(variant.asked, Choice):
        options = "".join(f"<li>{escape(option.text)}</li>" for option in variant.asked.options)
        below = f'<ol class="options">{options}</ol>'
    else:
        below = f'<p>Answer: <span class="blank">&nbsp;</span> {escape(variant.asked.unit)}</p>'
    said = ""
    if answers:
        wrong = "".join(
            f"<li>{escape(what)}: “{escape(thinks)}”</li>" for what, thinks in misconceptions(variant)
        )
        right = f"<strong>{escape(right_answer(variant))}.</strong> {escape(variant.asked.why)}"
        said = f'<div class="answer">{right}<ul>{wrong}</ul></div>'
    return f"<li>{escape(variant.asked.text)}{below}{said}</li>"


# -- GIFT ----------------------------------------------------------------------------------------


def gift(asked: Sequence[Variant], answers: bool, title: str) -> str:
    """Return the questions in Moodle's GIFT format. It grades, so the answers are always in it.

    (MoodleDocs, GIFT format.)"""
    head = f"// {title}\n$CATEGORY: lbkit\n"
    return "\n".join([head, *map(_gift, asked)])


def _gift(variant: Variant) -> str:
    asked, feedback = variant.asked, _plain(variant.asked.why)
    if isinstance(asked, Choice):
        lines = [
            f"={_plain(option.text)}#{feedback}"
            if option.holds
            else f"~{_plain(option.text)}#No\\: “{_plain(option.thinks)}” is a misconception. {feedback}"
            for option in asked.options
        ]
        body = "\n".join(lines)
    else:
        body = "\n".join(
            ["#", f"={asked.answer:.6g}:{asked.tolerance:.3g}#{feedback}", *_gift_slips(asked, feedback)]
        )
    unit = f" (in {_plain(asked.unit)})" if isinstance(asked, Number) else ""
    return f"::{variant.question.name}.{variant.seed}::{_plain(asked.text)}{unit} {{\n{body}\n}}\n"


def _gift_slips(asked: Number, feedback: str) -> list[str]:
    """Return the lines of wrong numbers: no points, and why."""
    return [
        f"=%0%{slip:.6g}:{abs(slip) * 0.01:.3g}#No\\: “{_plain(thinks)}” is a misconception. {feedback}"
        for thinks, slip in asked.slips.items()
    ]


def _plain(text: str) -> str:
    """Return a text without a character that GIFT would understand."""
    return "".join(f"\\{letter}" if letter in "~=#{}:\\" else letter for letter in text)


FORMATS: dict[str, Callable[[Sequence[Variant], bool, str], str]] = {
    "markdown": markdown,
    "html": html,
    "gift": gift,
}


def export(
    asked: Sequence[Variant], form: str = "markdown", answers: bool = False, title: str = "Questions"
) -> str:
    """Return questions as a text in one of FORMATS. Raises ValueError for another format."""
    if form not in FORMATS:
        raise ValueError(unknown(form, FORMATS, "format"))
    return FORMATS[form](asked, answers, title)
