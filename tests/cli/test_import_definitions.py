"""`lbkit import` of definitions: the kind is told by the content, and the report has one form."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import need_module
from typer.testing import CliRunner

from lbkit import Experiment
from lbkit.cli import app

need_module("yaml")

CORPUS = Path(__file__).parents[1] / "importer" / "corpus"


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("alb.json", "shop:80: 3 servers, least_connections; 4 rules, 2 pools"),
        ("nlb.json", "edge:443: 2 servers, cross_zone"),
        ("plan.json", "main-lb:80: 3 servers, weighted_round_robin; 1 rule, 2 pools"),
        ("stack.yaml", "test-balancer:80: 3 servers, round_robin; 2 rules, 1 pool"),
        ("shop.yaml", "shop: 4 servers, round_robin; 4 rules, 2 pools"),
        ("route.yaml", "split: 4 servers, round_robin; 5 rules, 2 pools"),
        ("envoy.yaml", "web:8080: 4 servers, weighted_least_connections; 6 rules, 2 pools"),
    ],
)
def test_each_kind_by_its_content(name: str, first: str, tmp_path: Path) -> None:
    copy = tmp_path / "definition"  # the name says nothing
    copy.write_bytes((CORPUS / name).read_bytes())
    written = tmp_path / "out.toml"
    result = run("import", copy, "-o", written)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == first
    assert "not in the experiment" in result.stderr
    assert Experiment.load_file(written).servers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "JSON or YAML of an unknown kind; these can be imported: Envoy's static bootstrap;"),
        ('{"a": ', "line 1: no JSON: Expecting value"),
        ("just text", "nor is it JSON or YAML of Envoy, Kubernetes or AWS"),
    ],
)
def test_anything_else_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    result = run("import", path)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_their_rules_are_no_proxys_file() -> None:
    result = run("import", CORPUS / "alb.json", "--routing")
    assert result.exit_code != 0
    assert "leave out --routing" in " ".join(result.output.split())
