"""The entry point: `colony` starts here.

It loads nothing but what guards it, so that Ctrl-C is heard as it should from the first moment on:
also while commands are loaded, when libraries turn it into errors of their own, or lose it.
"""

from tui.shared.guard import guarded


def main() -> None:
    """The entry point of the console script."""
    guarded(_command_line)


def _command_line() -> None:
    from tui.cli.main import app  # noqa: PLC0415 - a quarter of a second in which Ctrl-C is heard

    app()


if __name__ == "__main__":
    main()
