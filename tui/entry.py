"""The entry point: `colony` starts here.

It loads nothing but the guard, so that Ctrl-C works from the first moment on: also while commands
are loaded, when libraries turn it into errors of their own, or lose it.
"""

from tui.shared.guard import guarded


def main() -> None:
    """The entry point of the console script."""
    guarded(_command_line)


def _command_line() -> None:
    from tui.cli.main import app  # noqa: PLC0415 - a quarter of a second in which Ctrl-C works

    app()


if __name__ == "__main__":
    main()
