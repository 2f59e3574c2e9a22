"""A picture of a page as SVG, without a terminal: for the README and for reports.

python -m tui.app.picture colony.duckdb tui/colony.svg --size 120x36 --press 1
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from tui.app.app import ColonyApp
from tui.app.data.settings import ScreenSettings


async def picture(archive: Path, size: tuple[int, int], keys: Sequence[str]) -> str:
    """The SVG of what the app shows of an archive, once it has been read and keys were pressed.

    Args:
        archive: its path.
        size: columns and rows.
        keys: to press, as Textual names them.
    """
    app = ColonyApp(archive, ScreenSettings())
    async with app.run_test(size=size) as pilot:
        while app.snapshot is None or app.snapshot.shares is None:
            await pilot.pause(0.05)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.2)
        return app.export_screenshot(title=f"colony tui {archive.name}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--size", default="120x36", help="columns and rows; default %(default)s")
    parser.add_argument("--press", default="1", help="keys, with commas between")
    chosen = parser.parse_args(arguments)
    columns, rows = map(int, chosen.size.split("x"))
    svg = asyncio.run(picture(chosen.archive, (columns, rows), chosen.press.split(",")))
    chosen.target.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
