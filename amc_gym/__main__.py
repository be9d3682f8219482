"""The command line: ``amc-gym``, or ``python -m amc_gym``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import tyro

from amc_gym import __version__
from amc_gym._utils import interrupts
from amc_gym._utils.names import printable
from amc_gym.cli.commands import COMMANDS
from amc_gym.cli.console import CommandError

DESCRIPTION = """Compress neural networks by pruning channels.

A plan says which channels of which network stay. Search for one, look at what it gives, and take
the smaller network with you:

  amc-gym search AMC-MobileNet-v0 --preserve-ratio 0.3 --out plan.json
  amc-gym validate plan.json
  amc-gym finetune plan.json --out tuned.safetensors
  amc-gym export plan.json --network tuned.safetensors --format onnx --out small.onnx
  amc-gym bench-latency plan.json --network tuned.safetensors

A plan never makes code run: one that was made for package.module:function is refused unless you
name that function yourself, with --task. `amc-gym --version` says which version this is.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; without one, show the help.

    Args:
        args: instead of the process's own.

    Returns:
        The exit status: 0, 1 after one line on stderr that says what is wrong, 3 after one that
        says what `validate` could not prove, or 130 after an interruption.

    Raises:
        SystemExit: the arguments are no command (2), or help was asked for (0).
    """
    given = sys.argv[1:] if args is None else list(args)
    if given == ["--version"]:
        print(f"amc-gym {__version__}")
        return 0
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="amc-gym",
            description=DESCRIPTION,
            args=given or ["--help"],
            config=(
                tyro.conf.OmitArgPrefixes,
                tyro.conf.FlagCreatePairsOff,
                tyro.conf.PositionalMetavarFromFieldName,
            ),
        )
        command()
    except (CommandError, ValueError, TypeError, OSError, ImportError) as error:
        # Messages of other libraries may have several lines, and names in files may be anything.
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
    # ``python -m`` lets files of the current folder stand for packages that are imported later.
    if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():
        del sys.path[0]
    sys.exit(main())
