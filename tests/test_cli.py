from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from needs import need_feature, need_module
from rich.console import Console
from typer.testing import CliRunner

import lbkit
from lbkit import (
    Backend,
    Balancer,
    Event,
    Experiment,
    Policy,
    Server,
    Traffic,
    algorithms,
    forget,
    servers,
)
from lbkit.cli import COMMANDS, app
from lbkit.cli.compare import USUAL, results_table
from lbkit.cli.lab import SETTINGS, find_notebooks, lab_command, lab_environment
from lbkit.cli.play import PAGE, PORT, free_port, play_command, play_environment
from lbkit.cli.trial import LOAD, experiment_of, policies_of

ROOT = Path(lbkit.__file__).parents[1]

runner = CliRunner()


def call(*arguments: object, code: int = 0) -> str:
    """Return what a command prints to stdout, or to stderr if it fails."""
    result = runner.invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stderr if code else result.stdout


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lbkit", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment that is quick to run."""
    path = tmp_path / "small.toml"
    path.write_text(Experiment(servers(3), Traffic(duration=2), name="small").to_toml())
    return path


# -- help ------------------------------------------------------------------------------


def test_help_names_every_command() -> None:
    text = call("--help")
    for command in COMMANDS:
        assert f" {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples(command: str) -> None:
    text = call(command, "--help")
    _, _, examples = text.partition("Examples")
    assert f"lbkit {command}" in examples


def test_version() -> None:
    assert call("--version") == f"lbkit {lbkit.__version__}\n"


def test_help_is_quick() -> None:
    """Nothing heavy is imported before a command is chosen."""
    heavy = {"asyncio", "jupyterlab", "numpy", "pandas", "plotly", "lbkit.sim", "lbkit.net", "lbkit.viz"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys, lbkit.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert not heavy & set(done.stdout.split())


def test_algorithms() -> None:
    text = call("algorithms")
    for name, cls in algorithms().items():
        assert name in text
        if not cls.__module__.startswith("lbkit."):
            continue  # another test's own
        assert cls.__doc__
        assert cls.__doc__.split()[0] in text


def test_terminals_and_cells_of_jupyterlab_find_lbkit() -> None:
    assert lab_environment()["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    shells = [option for option in lab_command(None, browser=False, port=None) if "shell_command=" in option]
    assert [shell.endswith(" -l") for shell in shells] == [False]  # a login shell would set PATH anew


# -- lab -------------------------------------------------------------------------------


def test_lab_listens_on_this_machine_only() -> None:
    command = lab_command(Path("/kit/workbook"), browser=False, port=9000)
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert {
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.root_dir=/kit",
        "--LabApp.default_url=/lab/tree/workbook/index.ipynb",
        "--ContentsManager.hide_globs=notebooks",
        "--ServerApp.port=9000",
        "--no-browser",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    } <= set(command)
    assert "--no-browser" not in lab_command(None, browser=True, port=None)


def test_lab_options_are_known_to_jupyter() -> None:
    need_module("jupyterlab")
    command = lab_command(None, browser=False, port=9000)
    done = subprocess.run([*command, "--show-config-json"], capture_output=True, text=True, check=True)
    config = json.loads(done.stdout)  # one wrong option, and Jupyter forgets all
    assert (config["ServerApp"]["ip"], config["ServerApp"]["port"]) == ("127.0.0.1", 9000)
    assert config["LabApp"].keys() == {
        *("check_for_updates_class", "extension_manager", "log_level", "news_url")
    }
    assert config["ServerApp"]["jpserver_extensions"]["lbkit.cli.first_page"]
    assert config["ServerApp"]["jpserver_extensions"]["voila.server_extension"] is False


def test_play_listens_on_this_machine_only() -> None:
    command = play_command(browser=False, port=9000)
    assert command[:3] == [sys.executable, "-m", "voila"]
    assert {"--Voila.ip=127.0.0.1", "--Voila.port=9000", "--no-browser"} <= set(command)
    assert "--no-browser" not in play_command(browser=True, port=9000)


@pytest.mark.parametrize(
    ("query", "load", "said"),
    [("", 0.8, ""), ("load=0.5", 0.5, ""), ("wind=3", 0.8, "The setting in this link was not understood: ")],
)
def test_the_page_of_play_reads_the_setting_of_its_link(
    query: str, load: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_feature("play")
    monkeypatch.setattr("voila.utils.get_query_string", lambda: query)
    names: dict[str, Any] = {}
    for cell in json.loads(PAGE.read_text())["cells"]:
        exec("".join(cell["source"]), names)
    assert names["playground"].settings.load == load
    assert capsys.readouterr().out.startswith(said)


def test_play_takes_another_port_if_its_own_is_taken() -> None:
    with suppress(OSError), socket.create_server(("127.0.0.1", PORT)):
        assert free_port() != PORT


def test_play_does_not_take_another_port_than_the_one_it_was_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken: use another one"):
            free_port(port)


def test_play_asks_no_other_machine_for_icons() -> None:
    page = SETTINGS / "voila" / "templates" / "lbkit" / "index.html.j2"
    assert "://" not in page.read_text()
    assert str(SETTINGS) in play_environment()["JUPYTER_PATH"]


def test_lab_finds_the_notebooks_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("notebooks", "lbkit", "deep/er"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notebooks/00-playground.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path / "deep/er")
    assert find_notebooks() == (tmp_path / "notebooks", tmp_path / "workbook")


def test_lab_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyterlab", None)  # as if it were not there
    text = call("lab", code=2)
    assert text.startswith("lbkit: lab needs the Python package jupyterlab (")
    assert "[lab]'" in text


# -- compare ---------------------------------------------------------------------------


def test_experiment_of_without_a_file() -> None:
    experiment = experiment_of(None)
    assert len(experiment.servers) == 4
    assert experiment.load == pytest.approx(LOAD)
    alike = experiment_of(None, number=3, load=0.5, duration=7, seed=9)
    assert alike == Experiment(servers(3), seed=9).but(duration=7).at_load(0.5)


def test_options_change_what_the_file_says(small: Path) -> None:
    assert experiment_of(small) == Experiment.load_file(small)
    other = experiment_of(small, load=0.3, duration=4, seed=5)
    assert (other.load, other.traffic.duration, other.seed) == (pytest.approx(0.3), 4, 5)


def test_policies_keep_what_the_file_says_of_them() -> None:
    own = Policy("consistent_hash", {"points": 10}, key="client", retries=3)
    experiment = Experiment(servers(2), policy=own)
    assert policies_of(experiment, ["random", "consistent_hash"]) == [
        Policy("random", key="client", retries=3),
        own,
    ]


def test_compare(small: Path) -> None:
    text = call("compare", small, "-p", "round_robin", "-p", "least_connections")
    assert "small, 3 servers, poisson traffic at 67% load, 2 s, seed 1" in text
    rows = [line.split() for line in text.splitlines() if "  sim  " in line]
    assert [row[0] for row in rows] == ["round_robin", "least_connections"]
    assert rows[0][2] == rows[1][2]  # the very same requests
    assert {"p50", "p99.9", "wait", "slowdown", "fair", "count"} <= set(text.split())
    assert "Warning: p99 and p99.9 rest on fewer than 10 slower answers: 203 good answers" in text


def test_compare_without_arguments_runs_the_default_experiment() -> None:
    text = call("compare", "--duration", 3)
    assert [line.split()[0] for line in text.splitlines() if "  sim  " in line] == list(USUAL)
    assert "at 80% load" in text


def test_compare_says_what_it_was_if_something_was_wrong(tmp_path: Path) -> None:
    unequal = tmp_path / "unequal.toml"
    fleet = [Server("old", speed=0.3), Server("b"), Server("c")]
    Experiment(fleet, Traffic(duration=20)).at_load(0.7).save_file(unequal)
    text = call("compare", unequal, "-p", "round_robin", "-p", "least_connections")
    assert re.findall(r"^Diagnosis: (.*?),", text, re.MULTILINE) == ["round_robin: saturated server old"]
    assert "Diagnosis" not in call("compare", unequal, "-p", "least_connections")


def test_compare_with_several_seeds(small: Path) -> None:
    text = call("compare", small, "-p", "random", "-p", "least_connections", "--seeds", 4)
    assert "mean of 4 seeds ± half of its 95% confidence interval" in text
    rows = [line for line in text.splitlines() if line.startswith((" random ", " least_connections "))]
    assert len(rows) == 2
    assert all(row.count(" ± ") == 7 for row in rows)
    assert "least_connections has the lowest p99, " in text or "cannot tell the p99 of" in text
    assert "give only one of --html and --seeds" in call(
        "compare", small, "--seeds", 3, "--html", "r.html", code=2
    )


def test_a_narrow_window_shows_the_main_columns_in_full(small: Path) -> None:
    result = lbkit.run(Experiment.load_file(small).but(policy="weighted_round_robin"))
    console = Console(width=80, file=io.StringIO())
    console.print(results_table([result], "narrow", console.width))
    text = console.file.getvalue()
    assert "weighted_round_robin" in text
    assert {"p99.9", "busiest"} <= set(text.split())
    assert "…" not in text


def test_the_files_own_policy_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    path.write_text(Experiment(servers(2), Traffic(duration=1), policy="ip_hash").to_json())
    text = call("compare", path)
    names = [line.split()[0] for line in text.splitlines() if "  sim  " in line]
    assert names == ["ip_hash", *USUAL]


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_saved_experiment_gives_the_same_results(tmp_path: Path, suffix: str) -> None:
    saved = tmp_path / f"tried{suffix}"
    options = ("-p", "random", "-p", "power_of_two")
    first = call(
        "compare", "--servers", 2, "--seed", 7, "--duration", 2, "--save-experiment", saved, *options
    )
    assert Experiment.load_file(saved) == experiment_of(None, number=2, duration=2, seed=7)
    again = call("compare", saved, *options)
    assert f"Experiment: {saved}" in first
    assert again == first.replace(f"Experiment: {saved}\n", "")


def test_report(small: Path, tmp_path: Path) -> None:
    need_module("plotly")
    path = tmp_path / "report.html"
    call("compare", small, "-p", "random", "-p", "round_robin", "--html", path)
    html = path.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert ">round_robin</td>" in html
    assert "small, 3 servers" in html
    page = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=""", page)  # needs no network
    assert html.count("Plotly.newPlot(") == 6
    assert html.count("plotly.js v") == 1  # the script is there once, not once a figure


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["-p", "rund_robin"], "no algorithm 'rund_robin': did you mean round_robin?"),
        (["--on", "paper"], "unknown engine paper; known are sim"),
        (["--load", "0"], "load is 0.0: use a number above 0"),
        (["--load", "80"], "load is 80: a share of the capacity, where 1 is 100 %; is 0.8 meant?"),
        (["--save-experiment", "e.yaml"], "e.yaml: use a name that ends in .toml or .json"),
        (["--duration", "-1"], "duration is -1.0: use a number above 0"),
        (["--seed", "-1"], "seed is -1: use a whole number of at least 0"),
        (["--html", "no/such/folder/r.html"], "no/such/folder/r.html: there is no folder 'no/such/folder'"),
        (["--html", "r.yaml"], "--html: r.yaml: use a name that ends in .html"),
        (["--html", "r.html", "--seeds", "2"], "--html: a report is about one seed"),
        (["--save-experiment", "no/such/folder/e.toml"], "no/such/folder/e.toml: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    text = call("compare", *arguments, code=2)
    assert text.startswith(f"lbkit: {message}")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("servers = [", "{path}, line 1, column 12: not TOML: "),
        ("", "{path}: servers is missing"),
        ('[[servers]]\nname = "a"\nworkers = 2.5', "{path}: servers[0].workers is 2.5: use a whole number"),
        (
            '[[servers]]\nname = "a"\n[policy]\nalgorithm = "randon"',
            "{path}: policy: no algorithm 'randon': did",
        ),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    for command in ("compare", "backends"):
        assert call(command, path, code=2).startswith(f"lbkit: {message}".replace("{path}", str(path)))


@pytest.mark.parametrize("option", ["--servers", "--seeds"])
def test_numbers_below_1_are_refused_by_the_name_of_their_option(option: str) -> None:
    assert f"'{option}'" in call("compare", option, 0, code=2)


def test_nothing_is_saved_when_another_option_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    call("compare", "--save-experiment", path, "--html", tmp_path, code=2)
    assert not path.exists()


def test_an_interrupt_gives_the_results_so_far_and_its_exit_code(
    small: Path,
) -> None:
    class Interrupted(Balancer):
        def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
            if now > 1:
                raise KeyboardInterrupt
            return backends[0]

    assert "interrupted" not in call("compare", small, "-p", "random")
    result = runner.invoke(app, ["compare", str(small), "-p", "interrupted"])
    forget(Interrupted)
    assert result.exit_code == 130
    assert "Warning: interrupted after " in result.stdout


@pytest.mark.parametrize(
    "command", [["compare"], ["backends"], ["import", "nginx.conf"], ["proxy", "p.toml"]]
)
def test_an_interrupt_is_one_line(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for place in (
        "lbkit.cli.compare.experiment_of",
        "lbkit.cli.backends.experiment_of",
        "lbkit.importer.read_config",
        "lbkit.net.serve.main",
    ):
        monkeypatch.setattr(place, interrupted)
    assert call(*command, code=130) == "lbkit: interrupted\n"


def test_a_file_and_a_number_of_servers(small: Path) -> None:
    assert "give only one of the two" in call("compare", small, "--servers", 3, code=2)


def test_compare_as_a_program(small: Path) -> None:
    process = start("compare", str(small), "-p", "random", "-p", "ip_hash")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "random" in out
    assert "ip_hash" in out
    assert {"fair", "by", "capacity"} <= set(out.split())
    assert "…" not in out  # in a pipe, nothing is cut off to fit a window


# -- backends --------------------------------------------------------------------------


@pytest.mark.live
def test_backends_as_a_program(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(Experiment(servers(2), events=[Event(1, "crash", "s1")]).to_toml())
    process = start("backends", str(path))
    assert process.stdout
    try:
        urls = [process.stdout.readline().split() for _ in range(2)]
        assert [name for name, _ in urls] == ["s1", "s2"]
        for _, url in urls:
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert "Traceback" not in err
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(urls[0][1], timeout=5)


# -- proxy -----------------------------------------------------------------------------


def test_proxy_mistakes(tmp_path: Path) -> None:
    assert "nowhere.toml" in call("proxy", tmp_path / "nowhere.toml", code=1)
    (tmp_path / "p.toml").write_text("listen = [")
    text = call("proxy", tmp_path / "p.toml", "--check", code=1)
    assert text.startswith("lbkit: ")
    assert text.count("\n") == 1


def test_a_line_for_each_mistake(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("")
    assert call("proxy", path, code=1) == f"lbkit: {path}: backends is missing: there must be at least one\n"
    path.write_text('workers = 0\nhide = "Server"\n[[backends]]\naddress = "a"')
    lines = call("proxy", path, code=1).splitlines()
    assert [line.partition(" is ")[0] for line in lines] == [
        f"lbkit: {path}: backends[0].address",
        f"lbkit: {path}: workers",
        f"lbkit: {path}: hide",
    ]
    assert "CONFIG.toml is missing" in call("proxy", code=2)


def test_the_example_is_a_file_to_start_with(tmp_path: Path) -> None:
    text = call("proxy", "--example")
    (tmp_path / "p.toml").write_text(text.replace('# listen = "127.0.0.1:8080"', 'listen = "127.0.0.1:0"'))
    assert "fine, 1 backend, round_robin" in call("proxy", tmp_path / "p.toml", "--check")


def test_import(tmp_path: Path) -> None:
    config, log, out = tmp_path / "haproxy.cfg", tmp_path / "access.log", tmp_path / "out.toml"
    config.write_text("backend web\n balance leastconn\n server a 10.0.0.1:80\n server b 10.0.0.2:80 sni x\n")
    line = '10.0.0.{} - - [24/Nov/2026:10:00:{:02d} +0000] "GET /{} HTTP/1.1" 200 1 "-" "-" 0.020\n'
    log.write_text("".join(line.format(i % 9, i // 10, i % 5) for i in range(100)))
    result = runner.invoke(app, ["import", str(config), "--log", str(log), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert [line for line in result.stderr.splitlines() if "note:" not in line][:3] == [
        "access.log: 100 of 100 lines read, 100 requests in 9.9 s",
        "load 0.09 with 1 worker per server (--workers sets it)",
        "web: 2 servers, haproxy_least_connections",
    ]
    assert "server b sni x" in result.stderr
    assert "100" in call("compare", out, "-p", "round_robin")
    assert Experiment.from_toml(call("import", config)).policy.algorithm == "haproxy_least_connections"


def test_import_says_a_load_that_cannot_be_served(tmp_path: Path) -> None:
    config, log = tmp_path / "haproxy.cfg", tmp_path / "access.log"
    config.write_text("backend web\n server a 10.0.0.1:80\nbackend more\n server b 10.0.0.2:80\n")
    line = '10.0.0.1 - - [24/Nov/2026:10:00:{:02d} +0000] "GET / HTTP/1.1" 200 1 "-" "-" 0.500\n'
    log.write_text("".join(line.format(i // 10) for i in range(100) if i % 10 < 5 or i < 10))
    arguments = ["import", str(config), "--log", str(log), "--upstream", "more"]
    said = runner.invoke(app, [*arguments, "--workers", "2"]).stderr
    assert "with 2 workers per server" in said
    assert "more work than the servers can do" in said
    assert "not imported: web" in said
    assert "more work" not in runner.invoke(app, arguments).stderr  # estimated: enough of them


def test_import_looks_at_its_options_before_it_reads(tmp_path: Path) -> None:
    missing = tmp_path / "missing.conf"
    for option, value, message in (
        ("-o", "x.yaml", "use a name that ends in .toml or .json"),
        ("-o", tmp_path / "no" / "x.toml", "there is no folder"),
        ("--format", "$request", "--format is about a log: give one with --log"),
        ("--busiest", 60, "--busiest is about a log: give one with --log"),
        ("--workers", "4,x", "--workers is '4,x': use a whole number from 1, or one for each server"),
    ):
        text = call("import", missing, option, value, code=2)
        assert message in text
        assert text.count("\n") == 1


def test_import_of_nonsense(tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_text("backend b\n")
    assert "no upstream or backend with servers" in call("import", tmp_path / "x.cfg", code=2)
