"""A game day: a company, designs for it, and a scorecard that compares them by experiment.

`scorecard(ticket_shop(), references())` plays the day with each reference design.

measures    what is measured, and how it is written
incident    what goes wrong, for whatever servers a design has
company     customers, budget and promises; the incidents of the day
design      the parts that a learner chooses, and the experiment that they make
reference   designs to compare with, and a design without one of its parts
scorecard   game days of several designs, with intervals, and which design beats which
seeds       how many, or which
decision    which algorithm for which system: a table made by experiment
"""

from lbkit.gameday.company import Company, Prices, ticket_shop
from lbkit.gameday.decision import DecisionTable, System, decision_table
from lbkit.gameday.design import Design
from lbkit.gameday.incident import Incident
from lbkit.gameday.measures import MEASURES
from lbkit.gameday.reference import references, without_each
from lbkit.gameday.scorecard import GameDay, Scorecard, play, scorecard

__all__ = [
    "MEASURES",
    "Company",
    "DecisionTable",
    "Design",
    "GameDay",
    "Incident",
    "Prices",
    "Scorecard",
    "System",
    "decision_table",
    "play",
    "references",
    "scorecard",
    "ticket_shop",
    "without_each",
]
