"""An export from the app: `colony export` in a process of its own; no torch loads here."""

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
        archive: its path.
        model: its id.
        folder: of the checkpoint; must not exist yet.

    Attributes:
        model: see above.
        what: is being done.
        part: the fraction of that that is done, in [0, 1].
    """

    def __init__(self, archive: Path, model: int, folder: Path) -> None:
        self.model, self.what, self.part = model, "starting", 0.0
        self._arguments = ["export", str(model), str(folder), "--archive", str(archive)]

    async def run(self, on_progress: Callable[[], None]) -> tuple[bool, str]:
        """Export; cancelling ends the process, which leaves no folder behind.

        Args:
            on_progress: called when there is progress.

        Returns:
            Whether it worked, and the last line of the command's output or errors.
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
        last_line = ""
        try:
            async for line in process.stderr:
                text = line.decode("utf-8", "replace").strip()
                if text.startswith("["):
                    done, total, self.what = json.loads(text)
                    self.part = done / total if total else 0.0
                    on_progress()
                elif text:
                    last_line = text
            output = (await process.stdout.read()).decode("utf-8", "replace").strip()
            done_well = await process.wait() == 0
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return done_well, output if done_well else last_line or "it ended without a message"
