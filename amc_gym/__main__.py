"""The command line: ``amc-gym``, or ``python -m amc_gym``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from amc_gym import __version__
from amc_gym._utils import interrupts
from amc_gym._utils.names import printable
from amc_gym.cli.commands import parse
from amc_gym.cli.console import CommandError


def main(args: Sequence[str] | None = None) -> int:
    """Run a command, or show the help if there is none.

    Args:
        args: command-line arguments; by default those of the process.

    Returns:
        The exit status: 0; 1 after one line on stderr that says what is wrong; 3 after one that
        says what `validate` could not prove; or 130 after an interruption.

    Raises:
        SystemExit: with 2 if the arguments are no valid command, with 0 after help.
    """
    given = sys.argv[1:] if args is None else list(args)
    if given == ["--version"]:
        print(f"amc-gym {__version__}")
        return 0
    try:
        command = parse(given)
        command()
    except (CommandError, ValueError, TypeError, OSError, ImportError) as error:
        # Messages of other libraries may span several lines, and names read from files may hold
        # anything.
        interrupted = interrupts.happened() and not isinstance(error, CommandError)
        print(
            f"amc-gym: {'interrupted' if interrupted else printable(str(error), 4000)}",
            file=sys.stderr,
        )
        if interrupts.happened():
            return interrupts.leave()
        return error.status if isinstance(error, CommandError) else 1
    except KeyboardInterrupt:
        print("amc-gym: interrupted", file=sys.stderr)
        return interrupts.leave()
    return 0


if __name__ == "__main__":
    # With ``python -m``, files in the current folder would shadow packages that are imported later.
    if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():
        del sys.path[0]
    sys.exit(main())
