from pathlib import Path

import pytest
from needs import PROGRAMS, need

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
    monkeypatch.setitem(PROGRAMS, "no-such-daemon", "apt-get install it")
    with pytest.raises(pytest.skip.Exception, match="no-such-daemon is not installed: apt-get install it"):
        need("no-such-daemon")
