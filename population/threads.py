"""Threads of libraries that wait by spinning: how many there are, and for how long they spin.

The command line sets the same by environment variables before anything is loaded
(`tui.shared.guard`). From Python the libraries may be there already.
"""

import os
import sys
from functools import cache

from threadpoolctl import ThreadpoolController

BLAS_VARIABLE = "OPENBLAS_NUM_THREADS"


def limit_openmp_spinning() -> None:
    """Let OpenMP's threads spin for a short time only while they wait for each other.

    Has an effect on what is loaded afterwards, so call it before torch is imported. Leaves
    `GOMP_SPINCOUNT` as it is where somebody has set it.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@cache
def use_one_blas_thread() -> None:
    """Let the OpenBLAS of numpy compute in one thread from now on, in this whole process.

    Its products are small here: low-rank updates, founders against founders. Two threads that wait
    for each other on a busy machine took 23 s (8 s when it was less busy) for what one does in
    0.8 s, and 6 s of CPU time instead of 0.25 s. torch has threads of its own (`[run] threads`).
    Nothing changes where `OPENBLAS_NUM_THREADS` is set.
    """
    if BLAS_VARIABLE in os.environ:
        return
    for library in ThreadpoolController().lib_controllers:
        if library.internal_api == "openblas" and "torch" not in library.filepath:
            library.set_num_threads(1)
