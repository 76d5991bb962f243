"""The one exception family. Every text says what is wrong, with which file, and what to do.

Each class carries the exit code with which the command line ends when it meets the error.
"""

from __future__ import annotations


class MedColorizeError(Exception):
    """Anything MedColorize refuses or fails at in a way a person can do something about."""

    exit_code = 1


class UsageError(MedColorizeError):
    """The request itself makes no sense (wrong option, unknown name)."""

    exit_code = 2


class InputError(MedColorizeError):
    """An input can't be read, or is refused with a reason."""

    exit_code = 3


class ModelError(MedColorizeError):
    """A model is missing, damaged or not to be trusted."""

    exit_code = 4


class ResourceError(MedColorizeError):
    """Memory or a device gave out."""

    exit_code = 5


class OutputError(MedColorizeError):
    """An output can't be written."""

    exit_code = 6


class Cancelled(MedColorizeError):  # noqa: N818 - it is no error
    """The person asked to stop. Not a failure, but nothing was produced."""

    exit_code = 130

    def __init__(self, message: str = "Cancelled: nothing was written.") -> None:
        super().__init__(message)
