"""The pages for people: what they name exists, links lead somewhere, and their Python lines run."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arena.tasks import load_task
from lineage import Archive
from lineage.records import Item
from population.config import Config, load_config
from tests.conftest import small_settings, small_toml

ROOT = Path(__file__).parents[1]
FOLDERS = ("arena", "data", "lineage", "population", "tests", "tui")
PAGES = sorted(
    path.relative_to(ROOT)
    for pages in (ROOT.glob("*.md"), *((ROOT / folder).rglob("*.md") for folder in FOLDERS))
    for path in pages
)
READMES = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Those that speak of the present alone."""

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|toml|svg|txt)))`")
"""A file or folder in code marks: with an ending of ours, or with a slash at its end."""

PLACEHOLDERS = re.compile(r"\b[A-Z]{3,}|(^|/)(my|my_\w+|task)\.(toml|py)$|to_N\.py$")
"""What stands for a name of the reader's."""


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links call them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield target


def missing_files(page: Path, text: str) -> Iterator[str]:
    """Files that are named, seen from the page's folder or from the top, and are not there."""
    rooms = [page.parent, ROOT]
    for name in NAMED.findall(text):
        if PLACEHOLDERS.search(name) or any((room / name).exists() for room in rooms):
            continue
        if page.parent != ROOT and any(page.parent.rglob(name)):
            continue  # in a sentence on the folder where it lies
        yield name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(ROOT / page, (ROOT / page).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", READMES, ids=str)
def test_files_that_are_named_exist(page: Path) -> None:
    assert list(missing_files(ROOT / page, (ROOT / page).read_text(encoding="utf-8"))) == []


def test_what_leads_nowhere_is_found() -> None:
    page = ROOT / "README.md"
    text = "[a](nothing.md) [b](CONTRIBUTING.md#nowhere) [c](CONTRIBUTING.md#style) [d](#limits)"
    assert list(broken_links(page, text)) == ["nothing.md", "CONTRIBUTING.md#nowhere"]
    text = "`tui/nothing.py`, `nothing/`, `tui/entry.py`, `my.toml`, `merging/methods/NAME.py`"
    assert list(missing_files(page, text)) == ["tui/nothing.py", "nothing/"]


# Code


def python_blocks() -> list[Any]:
    """The Python lines of all pages, with the page and the line of each."""
    blocks = []
    for page in READMES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: block.start(1)].count("\n")
            blocks.append(pytest.param(page, line, block[1], id=f"{page}:{line + 1}"))
    return blocks


@pytest.mark.slow
@pytest.mark.parametrize(("page", "line", "code"), python_blocks())
def test_the_python_lines_of_a_page_run(
    page: Path,
    line: int,
    code: str,
    tmp_path: Path,
    tasks_folder: Path,
    small_archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a folder with the files that they speak of: a configuration and a finished campaign.

    Whatever they leave to the defaults is small.
    """
    (tmp_path / "my.toml").write_text(small_toml(tasks_folder, budget={"generations": 1}))

    def small(source: str | dict[str, dict[str, Any]]) -> Config:
        if isinstance(source, dict):
            source = small_settings(tasks_folder, **source)
        return load_config(source)

    monkeypatch.setattr("population.load_config", small)
    shutil.copy(small_archive.path, tmp_path / "colony.duckdb")
    (tmp_path / "my_tasks.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "my_tasks"}
    exec(compile("\n" * line + code, str(ROOT / page), "exec"), names)
    if "Doubling" in names:  # a class does nothing until somebody uses it
        task = load_task("my_tasks.py:Doubling")
        first = task.items("search", seed=1, limit=1)[0]
        assert first == Item(first.id, "doubling", "search", first.prompt, first.key)
        assert task.verify(first, first.key) == 1.0


def test_every_package_shows_python_that_is_run() -> None:
    pages = {str(block.values[0]) for block in python_blocks()}
    assert {"README.md", "arena/README.md", "lineage/README.md", "population/README.md"} <= pages
