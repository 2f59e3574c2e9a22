"""The examples in docstrings say what is so. Only modules that have some are loaded."""

import doctest
import importlib
from pathlib import Path

import pytest

from lineage import Archive
from tests.screen_helpers import finished

ROOT = Path(__file__).parents[1]
PACKAGES = ("lineage", "arena", "population", "tui")


def with_examples() -> list[str]:
    """The names of all modules in which `>>>` stands."""
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if ">>> " in path.read_text(encoding="utf-8")
    )


def check(tests: list[doctest.DocTest]) -> doctest.TestResults:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        runner.run(test)
    return runner.summarize(verbose=False)


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_are_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples may use `archive`: that of a finished campaign, to read and to change."""
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    uses_archive = "archive" in Path(str(module.__file__)).read_text(encoding="utf-8")
    names = {"archive": Archive(finished(tmp_path, "arena"))} if uses_archive else {}
    tests = doctest.DocTestFinder().find(module, extraglobs=names)
    failed, tried = check(tests)
    assert tried > 0
    assert failed == 0


def test_a_wrong_example_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "sum", None, None)
    assert check([wrong]).failed == 1
    assert "Expected:\n    3\nGot:\n    2" in capsys.readouterr().out
