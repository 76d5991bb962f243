"""The layout's own rules: rooms import only downwards, and importing is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = [
    *("imaging", "networks", "losses", "methods", "training", "bundles"),
    *("inference", "exemplar", "evaluation", "mrml", "app"),
]
HEAVY = {"torch", "monai", "kornia", "lightning_fabric", "safetensors"}
SCENE = {"slicer", "vtk", "vtkmodules"}


def imports(file: Path, root: Path) -> Iterator[tuple[str, bool]]:
    """Every module that `file` imports, and whether it does so as soon as it is imported itself."""
    package = [root.name, *file.relative_to(root).parts[:-1]]
    tree = ast.parse(file.read_text())
    later = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for branch in ast.walk(tree):
        if isinstance(branch, ast.If) and getattr(branch.test, "id", "") == "TYPE_CHECKING":
            later |= {id(node) for node in ast.walk(branch)}
    for node in ast.walk(tree):
        at_once = id(node) not in later
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name, at_once
            if node.level and not node.module:
                yield from ((f"{name}.{alias.name}", at_once) for alias in node.names)


def test_rooms_import_only_downwards(repository: Path) -> None:
    root = repository / "MedColorizeLib"
    wrong = []
    for file in sorted(root.rglob("*.py")):
        room = file.relative_to(root).parts[0]
        for name, _ in imports(file, root):
            parts = name.split(".")
            inside = parts[0] == root.name and len(parts) > 1 and parts[1] in ROOMS and room in ROOMS
            if inside and ROOMS.index(parts[1]) > ROOMS.index(room):
                wrong.append(f"{file.relative_to(repository)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_only_mrml_imports_the_scene(repository: Path) -> None:
    root = repository / "MedColorizeLib"
    wrong = [
        f"{file.relative_to(repository)} imports {name}"
        for file in sorted(root.rglob("*.py"))
        if file.relative_to(root).parts[0] != "mrml"
        for name, _ in imports(file, root)
        if name.split(".")[0] in SCENE
    ]
    assert not wrong, "\n".join(wrong)


def test_rooms_without_networks_do_not_load_torch(repository: Path) -> None:
    root = repository / "MedColorizeLib"
    wrong = [
        f"{file.relative_to(repository)} imports {name} when it is imported"
        for room in ("imaging", "evaluation", "mrml", "app", "inference", "bundles")
        for file in sorted((root / room).rglob("*.py"))
        for name, at_once in imports(file, root)
        if at_once and name.split(".")[0] in HEAVY and room in ("imaging", "evaluation", "mrml", "app")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "code",
    [
        "import MedColorizeLib",
        "from MedColorizeLib import Colorizer, Volume, read_volume, write_color, MedColorizeError",
        "import MedColorizeLib.app.cli as c; c.build_parser()",
        "import MedColorizeLib.evaluation.report",
    ],
)
def test_importing_is_light(repository: Path, code: str) -> None:
    probe = f"{code}\nimport sys\nprint(sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY | SCENE!r}))"
    answer = subprocess.run(
        [sys.executable, "-c", probe], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    assert answer.strip() == "[]"


def test_the_public_names_exist() -> None:
    import MedColorizeLib

    for name in MedColorizeLib.__all__:
        assert getattr(MedColorizeLib, name) is not None
    with pytest.raises(AttributeError):
        _ = MedColorizeLib.no_such_name


def test_every_package_is_listed_for_the_wheel(repository: Path) -> None:
    import tomllib

    listed = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    root = repository / "MedColorizeLib"
    found = {".".join((root.name, *file.parent.relative_to(root).parts)) for file in root.rglob("__init__.py")}
    assert found | {"MedColorizeLib._resources"} == set(listed)
