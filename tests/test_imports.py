"""Imports run one way, and what only shows something never waits for torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "lineage": set(),
    "arena": {"lineage"},
    "population": {"lineage", "arena"},
    "tui": {"lineage", "arena", "population"},
}


@pytest.mark.parametrize(
    "module",
    [
        "lineage",
        "arena",
        "tui",
        "tui.cli.main",
        "population.config",
        "population.analysis.difference",
    ],
)
def test_loads_no_torch(module: str) -> None:
    heavy = "[m for m in ('torch', 'transformers', 'pygad') if m in sys.modules]"
    code = f"import sys, {module}; print({heavy})"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.strip() == "[]"


def test_the_screen_paints_before_it_loads_what_archives_need() -> None:
    """DuckDB, NumPy and SciPy take longer than the first frame: they come after it, in a thread."""
    heavy = "[m for m in ('duckdb', 'numpy', 'scipy', 'pydantic', 'torch') if m in sys.modules]"
    code = f"""
import asyncio, sys, tui.cli.main
from pathlib import Path
from tui.app.app import ColonyApp

async def first_frame():
    app = ColonyApp(Path("nowhere.duckdb"))
    app._watcher.start = lambda: print({heavy})
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()

asyncio.run(first_frame())
print({heavy})
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.split() == ["[]", "[]"]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [node.module or ""]
            ours = {name.split(".")[0] for name in names} & set(MAY_IMPORT)
            assert ours <= MAY_IMPORT[package] | {package}, f"{path} imports {ours}"
