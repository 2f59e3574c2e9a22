"""Checking a result with transformers in another process, without waiting for its import."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from population.errors import CheckpointError
from population.memory import available_memory
from population.merging.known_agreements import agreement_of, remember
from population.merging.library_check import MAX_LISTED, Shapes, compare_faults
from population.models.checkpoints import Checkpoint

MIN_FREE_BYTES = 1_500_000_000
"""Free memory, in bytes, below which no other process imports torch."""

_SERVE = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path.insert(0, sys.argv[1])
from population.merging.library_check import serve
serve()
"""


_Request = tuple[Path, Shapes, Path, Shapes, Sequence[tuple[Path, Shapes]]]
"""The arguments of `compare_faults`."""


class Checker:
    """Checks with transformers whether the files of a checkpoint agree with each other.

    In this process if torch is loaded here, else in one that imports it while weights are written.
    What was found without fault before is not checked again, see `known_agreements`.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._request: _Request | None = None
        self._unavailable_reason: str | None = None
        self._entry: Path | None = None

    def __enter__(self) -> Checker:
        return self

    def _start(self) -> None:
        """Start the other process, unless torch is loaded here or there is no memory for it."""
        if "torch" in sys.modules:
            return
        free = available_memory()
        if free is not None and free < MIN_FREE_BYTES:
            self._unavailable_reason = "there is too little memory"
            return
        root = str(Path(__file__).parents[2])
        quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-P", "-c", _SERVE, root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | quiet,
            )
        except OSError as error:
            self._unavailable_reason = error.strerror or str(error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._process.wait()

    def submit(
        self,
        folder: Path,
        shapes: Shapes,
        source: Checkpoint,
        others: Iterable[Checkpoint] = (),
    ) -> None:
        """Start to check a folder: its files, and the tensors that it will have.

        Args:
            folder: what was written.
            shapes: of its tensors, by name.
            source: the source of the config; its own faults are not blamed on the result.
            others: further sources; tensors that they have in excess are not blamed on it either.
        """
        self._entry = agreement_of(folder, shapes)
        if self._entry.exists():
            return
        source_shapes = _shapes(source)
        added = shapes.keys() - source_shapes.keys()
        other_sources = [  # mostly none, so that what is asked stays short
            (other.path.absolute(), _shapes(other))
            for other in others
            if not added.isdisjoint(other.tensors)
        ]
        self._request = (
            folder.absolute(),
            shapes,
            source.path.absolute(),
            source_shapes,
            other_sources,
        )
        self._start()
        if self._process is None or self._process.stdin is None:
            return
        keys = ("folder", "shapes", "source", "source_shapes", "others")
        line = json.dumps(dict(zip(keys, self._request, strict=True)), default=str)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:  # it died; `result` says so
            pass

    def result(self) -> list[str]:
        """Wait for the check.

        Returns:
            Faults that the sources have already, a line each.

        Raises:
            CheckpointError: the result has a fault that its source has not.
        """
        if self._request is None:
            return []
        faults = self._faults()
        if faults is None:
            return [
                f"transformers was not asked whether these files agree: {self._unavailable_reason}"
            ]
        new_faults, known_faults = faults
        if self._entry is not None and not (new_faults or known_faults):
            remember(self._entry)
        if new_faults:
            count = f" (and {len(new_faults) - 1} more)" if len(new_faults) > 1 else ""
            raise CheckpointError(
                f"the result would not be right: {new_faults[0]}{count}; nothing was written"
            )
        notes = [f"as in its source, {text}" for text in known_faults[:MAX_LISTED]]
        if len(known_faults) > MAX_LISTED:
            notes.append(f"and {len(known_faults) - MAX_LISTED} more of the kind, as in its source")
        return notes

    def _faults(self) -> tuple[list[str], list[str]] | None:
        assert self._request is not None
        if self._unavailable_reason is not None:
            return None
        if self._process is None:
            return compare_faults(*self._request)
        assert self._process.stdout is not None
        lines = [line for line in self._process.stdout.read().splitlines() if line.strip()]
        try:
            new_faults, known_faults = json.loads(lines[-1])
        except (IndexError, ValueError):
            self._unavailable_reason = "the process that should have done it ended"
            return None
        return new_faults, known_faults


def _shapes(checkpoint: Checkpoint) -> Shapes:
    return {name: header.shape for name, header in checkpoint.tensors.items()}
