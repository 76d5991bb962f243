"""`medcolorize`: the command line. Declares the commands, runs one, and turns errors into exit codes.

Exit codes: 0 done; 2 wrong use; 3 input can't be read or is refused; 4 model missing or not to be trusted;
5 out of memory or device; 6 output can't be written; 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

from .. import __version__
from ..errors import Cancelled, InputError, MedColorizeError, OutputError, ResourceError, UsageError
from .console import Console
from .cores import share_cores

COMMANDS = (
    "info",
    "colorize",
    "convert",
    "render",
    "scene",
    "report",
    "compare",
    "methods",
    "models",
    "train",
    "export",
    "exemplar",
    "batch",
    "bench",
    "demo",
)

BROKEN_PIPE = 141
"""What a shell reports of a program whose reader has left (128 + SIGPIPE): no failure of ours, and quiet."""
_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)[eE][+-]?\d+")

_EPILOG = """\
examples:
  medcolorize colorize head.nii.gz -o head-color.nrrd
  medcolorize colorize ct-folder -o color.nii.gz --window soft-tissue --alpha
  medcolorize render color.nii.gz -o view.png
  medcolorize info scans/ --json

The colour is synthetic. It is for teaching and research, not for diagnosis.
"""


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, or of `only` one (so that a call loads no more than it needs)."""
    parser = argparse.ArgumentParser(
        prog="medcolorize",
        description="Truthful colour for grayscale medical volumes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"medcolorize {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if (only is None or name == only) and find_spec(f"{__package__}.commands.{name}"):
            import_module(f"{__package__}.commands.{name}").add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    share_cores()
    words = [_plain_number(word) for word in (sys.argv[1:] if argv is None else argv)]
    command = words[0] if words and words[0] in COMMANDS else None
    try:
        args = build_parser(command).parse_args(words)
    except SystemExit as stop:
        if stop.code and "--json" in words:  # argparse has told the person already, on standard error
            with Console(as_json=True) as console:
                text = f"The command line was not understood. See medcolorize {command or ''} --help."
                console.result({"error": {"kind": UsageError.__name__, "text": text, "exit_code": stop.code}})
        raise
    with Console(as_json=getattr(args, "json", False)) as console:
        try:
            return _run(args, console)
        except MedColorizeError as error:
            return _fail(console, error)
        except KeyboardInterrupt:
            return _fail(console, Cancelled())
        except MemoryError:
            return _fail(
                console,
                ResourceError(
                    "There is not enough memory for this volume. Close other programs, or colour a part of it."
                ),
            )
        except BrokenPipeError:
            # Whoever read our output has left; Python would complain again when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except OSError as error:  # a path that no check can even ask about: a name too long, no right to look
            read = [str(getattr(args, name, "")) for name in ("input", "path", "labels")]
            kind = InputError if str(error.filename) in read else OutputError
            return _fail(console, kind(f"{error.filename}: {error.strerror or error}. Choose another path."))


def _plain_number(word: str) -> str:
    """`-1e2` as `-100`: argparse takes a negative number with an exponent for an option."""
    return format(Decimal(word), "f") if _NEGATIVE.fullmatch(word) else word


def _run(args: argparse.Namespace, console: Console) -> int:
    command: Any = import_module(f"{__package__}.commands.{args.command}")
    return int(command.run(args, console))


def _fail(console: Console, error: MedColorizeError) -> int:
    if console.as_json:
        console.result({"error": {"kind": type(error).__name__, "text": str(error), "exit_code": error.exit_code}})
    print(f"medcolorize: {error}", file=sys.stderr)
    return error.exit_code


def run() -> NoReturn:
    """The program `medcolorize`. It ends at once when a volume is coloured: tidying up would take a tenth as long."""
    code = main()
    if sys.argv[1:2] == ["colorize"]:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
