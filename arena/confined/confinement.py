"""What a program gives up before it runs what it cannot trust: memory, files, other processes.

Standard library only, and nothing of this project: it is imported by programs that start alone.
"""

import resource
import signal
import sys
from pathlib import Path
from typing import Any

_REFUSED = frozenset({
    *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.kill"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "ctypes.dlopen"),
    *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
      "os.symlink", "os.truncate"),
})  # fmt: skip
"""Events of Python's audit that nothing brings about unless it does what it has no business to."""


def confine(memory: int) -> None:
    """Give up what such code has no use for: it may read the libraries' files, and compute.

    Args:
        memory: bytes that may be taken beside those in use.
    """
    used = 0
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            used = int(file.read().split()[0]) * resource.getpagesize()
    for limit, most in ((resource.RLIMIT_AS, used + memory), (resource.RLIMIT_FSIZE, 0)):
        _, hard = resource.getrlimit(limit)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (allowed, hard))
    libraries = tuple(
        f"{Path(folder).resolve()}/"
        for folder in {sys.prefix, sys.base_prefix, *sys.path}
        if folder
    )

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and not str(args[0]).startswith(libraries):
            raise PermissionError("it opens a file")
        if event in _REFUSED:
            raise PermissionError("it starts or changes something")

    sys.addaudithook(refuse)


def allow_seconds(seconds: float) -> None:
    """Have the process ended after so much processor time from now; 0: not any more."""
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)  # by default its signal ends a process
