"""The learner's board: algorithms with their source and their score, beside the house.

An entry's source is all that its score needs, so `score(kept(NAME)).points` repeats it at any time. The board
is in the learner's own file of progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from html import escape
from statistics import geometric_mean

from lbkit.core import Balancer
from lbkit.core.text import unknown
from lbkit.course import house, progress
from lbkit.course.lab import all_labs, code_of
from lbkit.course.own_algorithm import algorithm_in

# The labs whose solutions are balancers.
LABS = ("01-turns", "02-count-what-runs", "03-do-not-forget-the-slow-one", "04-a-ring")


@dataclass(frozen=True)
class Entry:
    """An algorithm on the board: its source, "" for the house, and its share in each scenario."""

    shares: Mapping[str, float]
    source: str = ""

    @property
    def points(self) -> float:
        return 100 * geometric_mean(self.shares.values())


def enter(score: house.Score, source: str) -> None:
    """Put an algorithm on the board, in place of an earlier one of its name. Raises ValueError, OSError."""
    if not score.final:
        raise ValueError(f"the score of {score.algorithm} is not final: {score.runs} runs stand behind it")
    progress.note_score(score.algorithm, asdict(Entry(dict(score.shares), source)))


def board() -> dict[str, Entry]:
    """Return the learner's entries, by the name of the algorithm. Raises ValueError, OSError."""
    return {name: Entry(**entry) for name, entry in progress.read_progress()["board"].items()}


def kept(name: str) -> type[Balancer]:
    """Return an algorithm of the board, made anew of its source. Raises ValueError."""
    entries = board()
    if name not in entries:
        raise ValueError(unknown(name, list(entries), "algorithm on your board"))
    return algorithm_in(entries[name].source, name)


def of_the_house() -> dict[str, Entry]:
    """Return the entries of the house: some seconds of computing, the first time."""
    return {name: Entry(house.score(name).shares) for name in house.HOUSE}


def lab_solutions() -> dict[str, str]:
    """Return the source of the labs that the learner has begun, by the name of the lab."""
    found = {}
    for lab in all_labs():
        if lab.name not in LABS:
            continue
        with suppress(ValueError, OSError):  # nothing there
            file = lab.work_file(lab.own_folder)
            source = code_of(file)
            if source != code_of(lab.folder / file.name):
                found[lab.name] = source
    return found


# -- as a table -----------------------------------------------------------------------------

IMPORTS = "from lbkit.course import kept, score"


NOT_KEPT = "put it on your board first"


def again(name: str, entry: Entry) -> str:
    """Return the line of Python that repeats the score of an entry; "" if there is none."""
    if name in house.HOUSE:
        return f'score("{name}").points'
    return f'score(kept("{name}")).points' if entry.source else ""


def board_table(entries: Mapping[str, Entry]) -> str:
    """Return the entries as an HTML table, the best first; the best share of each scenario is bold."""
    ranked = sorted(entries.items(), key=lambda row: -row[1].points)
    best = {name: max(entry.shares.get(name, 0) for entry in entries.values()) for name in house.SCENARIOS}
    names = "".join(f"<th>{escape(name)}</th>" for name in best)
    head = f"<th>rank</th><th>algorithm</th><th>points</th>{names}<th>again, in Python</th>"
    rows = "".join(_row(rank, name, entry, best) for rank, (name, entry) in enumerate(ranked, 1))
    return f'{STYLE}<table class="lbkit-board"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _row(rank: int, name: str, entry: Entry, best: Mapping[str, float]) -> str:
    shares = [(entry.shares.get(scenario, 0), most) for scenario, most in best.items()]
    cells = "".join(
        f"<td>{f'<b>{share:.2f}</b>' if share == most else f'{share:.2f}'}</td>" for share, most in shares
    )
    line = again(name, entry)
    how = f"<code>{escape(line)}</code>" if line else f"<i>{NOT_KEPT}</i>"
    own = "" if name in house.HOUSE else ' class="lbkit-own"'
    named = f'<th scope="row">{escape(name)}</th><td>{entry.points:.1f}</td>'
    return f'<tr{own}><td>{rank}</td>{named}{cells}<td class="lbkit-line">{how}</td></tr>'


STYLE = """<style>
.lbkit-board { border-collapse: collapse; font-size: 13px; line-height: 1.5; }
.lbkit-board th, .lbkit-board td { padding: 2px 10px; text-align: right; font-variant-numeric: tabular-nums; }
.lbkit-board tbody th, .lbkit-board thead th:nth-child(2), .lbkit-board .lbkit-line { text-align: left; }
.lbkit-board thead th:last-child { text-align: left; }
.lbkit-board tbody th { font-weight: normal; }
.lbkit-board .lbkit-own th { font-weight: bold; }
.lbkit-board .lbkit-own { background: rgba(128, 136, 146, 0.2); }
</style>"""
