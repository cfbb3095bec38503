import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from needs import PROGRAMS, need
from packaging.specifiers import SpecifierSet

from lbkit import needs, why_not
from lbkit.needs import FEATURES, PACKAGES, Program
from lbkit.run import ENGINES

HERE = Path(__file__).parent

SKIPS = """
    import pytest
    from needs import need_module, skip_platform

    def test_module(): need_module("no_such_module", "no-such-package")
    def test_platform(): skip_platform("no second moon")
    @pytest.mark.xfail(reason="known")
    def test_known(): assert False
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ["conftest.py", "needs.py"]:
        (pytester.path / name).write_text((HERE / name).read_text())
    pytester.makepyfile(
        test_skips=SKIPS,
        test_imports="import pytest; pytest.importorskip('no_such_module')",
    )
    pytester.syspathinsert()
    return pytester


def test_a_skip_says_what_to_install(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LBKIT_REQUIRE_ALL", raising=False)
    result = project.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=3, xfailed=1)
    result.stdout.fnmatch_lines(["SKIPPED*no_such_module is not installed: pip install no-such-package"])


def test_a_skip_is_a_failure_where_all_is_required(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LBKIT_REQUIRE_ALL", "1")
    result = project.runpytest_subprocess("--continue-on-collection-errors")
    result.assert_outcomes(failed=1, errors=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*skipped though LBKIT_REQUIRE_ALL is set: no_such_module is not*"])


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROGRAMS, "no-such-daemon", Program(("no-such-daemon",), "it", "it"))
    with pytest.raises(pytest.skip.Exception, match="no-such-daemon is not installed: apt-get install it"):
        need("no-such-daemon")


# -- lbkit.needs -----------------------------------------------------------------------------------


def extras() -> dict[str, list[str]]:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    return {
        extra: [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]
        for extra, requirements in project["optional-dependencies"].items()
    }


DISTRIBUTIONS = {
    "PIL": "pillow",
    "dns": "dnspython",
    "prometheus_client": "prometheus-client",
    "yaml": "pyyaml",
    "opentelemetry.sdk.trace": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_extra_that_a_hint_names_installs_the_package(package: str) -> None:
    distribution = DISTRIBUTIONS.get(package, package)
    assert distribution in extras()[PACKAGES[package]]


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_misses_each_thing_that_it_needs(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = FEATURES[feature]
    monkeypatch.setattr(needs, "find_program", lambda names: None)
    for package in needed.packages:
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    reason = why_not(feature)
    assert all(name in reason for name in (*needed.packages, *needed.programs))
    assert bool(reason) == bool(needed.packages or needed.programs)
    assert "\n" not in reason


def test_redis_needs_the_program_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_program", lambda names: f"/usr/bin/{names[0]}")
    monkeypatch.setitem(sys.modules, "redis", None)
    assert re.fullmatch(
        r"redis needs the Python package redis \(\S+ -m pip install -e '\S*\[redis\]'\)", why_not("redis")
    )


def test_every_engine_says_what_it_needs() -> None:
    assert ENGINES.keys() <= FEATURES.keys()
    with pytest.raises(ValueError, match=r"unknown feature nginks; .*; did you mean nginx\?"):
        why_not("nginks")


def test_a_hint_names_what_works_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clone that lbkit runs from; without one, the name on PyPI, which is not `lbkit`."""
    monkeypatch.chdir(needs.CLONE)
    monkeypatch.setattr(sys, "executable", str(needs.CLONE / ".venv/bin/python"))
    assert needs.install_command("redis", "dask") == ".venv/bin/python -m pip install -e '.[redis,dask]'"
    monkeypatch.chdir(tmp_path)
    python = needs.CLONE / ".venv/bin/python"
    assert needs.install_command("redis") == f"{python} -m pip install -e '{needs.CLONE}[redis]'"
    monkeypatch.setattr(needs, "CLONE", tmp_path)  # where no pyproject.toml is
    assert needs.install_command("redis") == f"{python} -m pip install 'lbkit-lab[redis]'"
    assert tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["name"] == "lbkit-lab"


def test_a_folder_is_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "only_a_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not needs.has_package("only_a_folder")
    assert needs.has_package("pytest")


# -- what make lab installs --------------------------------------------------------------------------


def test_every_pin_installs_on_the_oldest_python_allowed() -> None:
    """Debian 12 has Python 3.11.2, and a package may ask for a later 3.11."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    pins = dict(line.split("==") for line in (HERE.parent / "requirements.lock").read_text().split())
    refusing = {}
    for distribution in distributions():
        wanted = distribution.metadata.get("Requires-Python")
        if pins.get(distribution.name) == distribution.version and wanted:
            refusing[distribution.name] = "3.11.0" not in SpecifierSet(wanted)
    assert len(refusing) > 100
    assert [name for name, refuses in refusing.items() if refuses] == []
