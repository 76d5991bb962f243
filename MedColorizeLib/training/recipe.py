"""Recipes: which method with which options, on which data, how long. TOML files, typed and validated.

A recipe may extend another and say only what differs. Not for: installed models (bundles) or the methods themselves.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..methods.base import MethodOptions
from ..methods.registry import load_method
from ..resources import resources_dir
from .settings import Budget, DataSettings

_TOP = ("title", "about", "extends", "method", "seed", "options", "data", "budget")
_TABLES = ("options", "data", "budget")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes, but for the files it reads."""

    name: str
    method: str
    options: MethodOptions
    data: DataSettings
    budget: Budget
    seed: int = 0
    title: str = ""
    about: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, every default spelled out."""
        return {
            "title": self.title,
            "about": self.about,
            "method": self.method,
            "seed": self.seed,
            "options": self.options.to_mapping(),
            "data": self.data.to_mapping(),
            "budget": self.budget.to_mapping(),
        }

    def to_toml(self) -> str:
        """The text of a recipe file that loads as this recipe."""
        plain = self.to_mapping()
        lines = [f"{key} = {_toml(value)}" for key, value in plain.items() if key not in _TABLES]
        for table in _TABLES:
            lines += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in plain[table].items())]
        return "\n".join(lines) + "\n"


def recipe_names() -> list[str]:
    """The recipes that came with the library. Reads no file."""
    return sorted(path.stem for path in (resources_dir() / "Recipes").glob("*.toml"))


def load_recipe(name_or_path: str | Path, *, overlays: Sequence[Path] = (), changes: Sequence[str] = ()) -> Recipe:
    """A recipe by name or path; `overlays` are TOML files laid over it (or names of those that came with the library:
    which images of a known collection, and what of it is held out), `changes` single `key=value` texts."""
    path = _find(str(name_or_path), None)
    raw = _extended(path, ())
    for overlay in overlays:
        raw = _merged(raw, _read(_find_overlay(Path(overlay))))
    for change in changes:
        raw = _merged(raw, _change(change, raw, path))
    return make_recipe(raw, path.stem, str(path))


def make_recipe(raw: Mapping[str, Any], name: str, source: str) -> Recipe:
    """Validate plain data; `source` says in errors where it came from."""
    _known(raw, _TOP, source, "")
    if not raw.get("method"):
        raise UsageError(f'{source} names no method. Add a line such as: method = "colormedgan".')
    for table in _TABLES:
        if not isinstance(raw.get(table, {}), Mapping):
            raise UsageError(f"{source}: '{table}' must be a table, written as [{table}].")
    seed = raw.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"{source}: 'seed' is {seed!r}; it must be a whole number of 0 or more.")
    for key in ("title", "about", "method"):
        if not isinstance(raw.get(key, ""), str):
            raise UsageError(f"{source}: '{key}' is {raw[key]!r}; it must be a text.")
    try:
        method = load_method(raw["method"])
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    return Recipe(
        name=name,
        method=raw["method"],
        options=_table(method.Options, raw, "options", source),
        data=_table(DataSettings, raw, "data", source),
        budget=_table(Budget, raw, "budget", source),
        seed=seed,
        title=raw.get("title", ""),
        about=raw.get("about", ""),
    )


def _table(kind: type[Any], raw: Mapping[str, Any], table: str, source: str) -> Any:
    try:
        return kind.from_mapping(raw.get(table, {}))
    except UsageError as error:
        raise UsageError(f"{source}, table [{table}]: {error}") from None


def _known(raw: Mapping[str, Any], names: Sequence[str], source: str, table: str) -> None:
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}."
            raise UsageError(f"{source}{table}: there is no '{key}' in a recipe. {hint}")


def _find(name: str, beside: Path | None) -> Path:
    """A recipe's file: a path, a neighbour of the recipe that extends it, or one that came with the library."""
    direct = Path(name)
    if direct.suffix == ".toml" and direct.is_file():
        return direct
    folder = resources_dir() / "Recipes"
    for candidate in (*([beside / f"{name}.toml", beside / name] if beside else []), folder / f"{name}.toml"):
        if candidate.is_file():
            return candidate
    known = recipe_names()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else "`medcolorize methods --recipes` lists them."
    raise UsageError(f"There is no recipe '{name}', neither as a file nor among those installed. {hint}")


def _find_overlay(path: Path) -> Path:
    shipped = resources_dir() / "Recipes" / "Data"
    named = shipped / f"{path.name}.toml"
    if path.is_file() or not named.is_file():
        if not path.is_file() and path.suffix != ".toml":
            known = ", ".join(sorted(each.stem for each in shipped.glob("*.toml")))
            raise UsageError(f"There is no data file '{path}'. Give a TOML file, or one of: {known}.")
        return path
    return named


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read as text: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from None
    # Weights given relative to the recipe are found from wherever training is started.
    options = raw.get("options")
    if isinstance(options, dict):
        for key, value in options.items():
            if key.endswith("_weights") and isinstance(value, str) and value and (path.parent / value).exists():
                options[key] = str((path.parent / value).resolve())
    return raw


def _extended(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise UsageError(f"{path} extends itself, by way of {' -> '.join(p.stem for p in seen)}.")
    raw = _read(path)
    base = raw.pop("extends", "")
    if not isinstance(base, str):
        raise UsageError(f"{path}: 'extends' is {base!r}; it must be the name of a recipe.")
    if not base:
        return raw
    return _merged(_extended(_find(base, path.parent), (*seen, path.resolve())), raw)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


def _change(text: str, raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """`table.key=value` or `key=value` (the table is then found by the key)."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UsageError(f"--set {text}: write key=value, for example --set data.batch=2.")
    parsed: Any
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    if key in ("seed", "title", "about"):
        return {key: parsed}
    table, dot, inner = key.partition(".")
    if dot:
        if table not in _TABLES:
            raise UsageError(f"--set {text}: there is no table '{table}'. Tables: {', '.join(_TABLES)}.")
        return {table: {inner: parsed}}
    fields = {
        "options": load_method(raw.get("method", "")).Options.__dataclass_fields__,
        "data": DataSettings.__dataclass_fields__,
        "budget": Budget.__dataclass_fields__,
    }
    homes = [name for name, known in fields.items() if key in known]
    if not homes:
        names = [name for known in fields.values() for name in known]
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}."
        raise UsageError(f"--set {text}: {path.stem} has no '{key}'. {hint}")
    if len(homes) > 1:
        raise UsageError(f"--set {text}: say which: {' or '.join(f'{home}.{key}' for home in homes)}.")
    return {homes[0]: {key: parsed}}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return (
        repr(value)
        if isinstance(value, (int, float))
        else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    )
