from __future__ import annotations

import plotly.graph_objects as go

from lbkit.alerts import Condition, Incident, Quality, Rule, assess
from lbkit.metrics import Store, Value
from lbkit.metrics.store import labels
from lbkit.viz import figures


def found() -> Quality:
    store = Store([10.0 * i for i in range(10)])
    store.add("depth", labels(), [0, 0, 9, 9, 0, 0, 3, 0, 0, 0])
    rule = Rule("Deep", (Condition(Value("depth"), ">", 5),))
    return assess(rule.at_limits([1, 5]), [(store, [Incident("one", 15, 35), Incident("two", 80, 90)])], 0)


def test_the_times_of_detection_are_in_a_grid_of_rules_and_incidents() -> None:
    drawn = figures.alert_detection(found())
    go.Figure(drawn.to_dict())  # plotly's own validation
    (heat,) = drawn.data
    assert (list(heat.x), list(heat.y)) == (["one", "two"], ["Deep_1", "Deep_5"])
    assert [list(row) for row in heat.text] == [["5 s", "-"]] * 2
    assert drawn.layout.title.text.startswith("1 of 2 incidents are noticed")


def test_false_alarms_are_beside_the_others() -> None:
    drawn = figures.alert_fatigue(found())
    go.Figure(drawn.to_dict())
    right, false = drawn.data
    assert list(right.x) == [960, 960]  # one in a minute and a half
    assert list(false.x) == [960, 0]
    assert [note.text for note in drawn.layout.annotations] == ["notices 50%"] * 2
    said = drawn.layout.title.text.replace("<br>", " ")
    assert said == "Deep_1 fires 1.9e+03 times a day, and 50% of that is false"


def test_nothing_to_show_is_said() -> None:
    empty = Quality([])
    assert figures.alert_detection(empty).layout.annotations[0].text == "no good answers"
    assert figures.alert_fatigue(empty).layout.annotations[0].text == "no good answers"
