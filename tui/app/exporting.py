"""An export from the screen: `colony export` in a process of its own; no torch loads here."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tui.shared.console import PROGRESS


class Export:
    """Writes a model as a checkpoint.

    Args:
        archive: where the model is.
        model: its id.
        folder: where to.

    Attributes:
        model: see above.
        what: is done at this moment.
        part: how much of that is done, in [0, 1].
    """

    def __init__(self, archive: Path, model: int, folder: Path) -> None:
        self.model, self.what, self.part = model, "starting", 0.0
        self._arguments = ["export", str(model), str(folder), "--archive", str(archive)]

    async def run(self, tell: Callable[[], None]) -> tuple[bool, str]:
        """Export; whoever cancels it ends the process, which leaves no folder behind.

        Args:
            tell: called when there is progress.

        Returns:
            whether it is done, and how it came out, in its own words.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tui.cli.main",
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, PROGRESS: "lines"},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        last_words = ""
        try:
            async for line in process.stderr:
                text = line.decode("utf-8", "replace").strip()
                if text.startswith("["):
                    done, total, self.what = json.loads(text)
                    self.part = done / total if total else 0.0
                    tell()
                elif text:
                    last_words = text
            output = (await process.stdout.read()).decode("utf-8", "replace").strip()
            done_well = await process.wait() == 0
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return done_well, output if done_well else last_words or "it ended without a word"
