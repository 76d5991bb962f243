"""Options of methods, of transfers and of training: typed fields with a help line and a range, checked when made.

Not for: the command line's own arguments (argparse checks those).
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from .errors import UsageError


def option(
    default: Any, help: str, *, least: float | None = None, above: float | None = None, most: float | None = None
) -> Any:
    """A field of an `Options` class: its default, one line of help, and the range of a number."""
    return dataclasses.field(default=default, metadata={"help": help, "least": least, "above": above, "most": most})


@dataclass(frozen=True)
class Options:
    """Base of the options of methods and transfers: typed, validated when made, plain data.

    Types are bool, int, float, str, `Literal[...]` of words, and tuples of those.
    """

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _checked(field.name, getattr(self, field.name), types[field.name], field.metadata)
            object.__setattr__(self, field.name, value)
        self.check()

    def check(self) -> None:
        """Refuse combinations that make no sense, with a `UsageError`."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """From a recipe's table or a bundle's metadata; an unknown key is refused with the nearest name."""
        names = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f"Did you mean '{near[0]}'?" if near else f"Known options: {', '.join(names)}."
                raise UsageError(f"There is no option '{key}'. {hint}")
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data (tuples become lists), from which `from_mapping` makes the same options."""
        plain = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def _checked(name: str, value: Any, kind: Any, limits: Mapping[str, Any]) -> Any:
    """`value` as its type demands (whole numbers serve as floats, lists as tuples), or a `UsageError`."""
    if get_origin(kind) is Literal:
        words = get_args(kind)
        if value not in words or isinstance(value, bool) != any(isinstance(word, bool) for word in words):
            raise UsageError(f"Option '{name}' is {value!r}; it must be one of {', '.join(map(repr, words))}.")
        return value
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        many = inner[-1] is Ellipsis
        if not isinstance(value, (list, tuple)) or (not many and len(value) != len(inner)):
            length = "" if many else f" of {len(inner)} values"
            raise UsageError(f"Option '{name}' is {value!r}; it must be a list{length}.")
        return tuple(_checked(name, each, inner[0], limits) for each in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"Option '{name}' is {value!r}; it must be of type {kind.__name__}.")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        least, above, most = limits.get("least"), limits.get("above"), limits.get("most")
        if value != value or (least is not None and value < least) or (most is not None and value > most):
            raise UsageError(
                f"Option '{name}' is {value}; it must lie in {least} .. {most if most is not None else ''}."
            )
        if above is not None and value <= above:
            raise UsageError(f"Option '{name}' is {value}; it must be greater than {above}.")
    return value
