from __future__ import annotations

import json
import re

from viz.theatre.toy import every_outcome

from lbkit.viz.style import policy_look
from lbkit.viz.theatre.page import page
from lbkit.viz.theatre.script import STAGE, script, style

MODULES = sorted(STAGE.glob("*.js"))


def test_the_script_is_small_and_one_module() -> None:
    assert len(script().encode()) + len(style().encode()) < 200_000
    assert len(re.findall(r"^export ", script(), re.M)) == 1
    assert "import " not in re.sub(r"//.*", "", script())


def test_no_name_is_declared_twice() -> None:
    names = re.findall(r"^(?:function|class|const|let) (\w+)", script(), re.M)
    assert len(names) == len(set(names)) > 50


def test_the_stage_asks_no_server() -> None:
    text = script().replace("http://www.w3.org/2000/svg", "") + style()
    assert not re.search(r"https?:|fetch\(|XMLHttp|WebSocket|url\(", text)


def test_files_of_the_stage_are_short() -> None:
    assert all(path.read_text().count("\n") <= 300 for path in MODULES)


def test_a_page_has_its_films_and_no_text_of_a_film_ends_a_script() -> None:
    film = every_outcome()
    html = page([film, film])
    (said,) = re.findall(r'<script type="application/json" id="spec">(.*?)</script>', html, re.S)
    spec = json.loads(said)
    assert spec["films"] == [film, film]
    assert spec["colours"] == {name: policy_look(name).colour for name in ("least_connections", "maglev")}
    assert spec["hands"] is None
    assert html.count("</script>") == 2
    assert "default-src 'none'" in html
