"""Recipes: the shipped ones are whole, errors say which key and what was expected."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedColorizeLib.errors import UsageError
from MedColorizeLib.training.recipe import _toml, load_recipe, make_recipe, recipe_names

TABLE_ROWS = {
    "colormedgan-t1-sigmoid": {"fusion": "sigmoid"},
    "colormedgan-t1-concat": {"fusion": "concat"},
    "colormedgan-t2-edge": {"theta": 10.0},
    "colormedgan-t2-noedge": {"theta": 0.0},
    "colormedgan-t3-seg": {"fusion": "sigmoid"},
    "colormedgan-t3-noseg": {"fusion": "none"},
    "colormedgan-t4-none": {"modal": "none"},
    "colormedgan-t4-modal1": {"modal": "1"},
    "colormedgan-t4-modal2": {"modal": "2"},
    "colormedgan-t4-modal3": {"modal": "3"},
    "liang-2-cyclegan": {"perceptual": "none", "tv": 0.0},
    "liang-2-perceptual": {"perceptual": "asymmetric", "tv": 0.0},
    "liang-2-proposal": {"perceptual": "asymmetric", "tv": 1.0, "identity": 5.0},
    "liang-4-noidentity": {"identity": 0.0},
    "liang-5-sym": {"perceptual": "symmetric"},
    "liang-5-sym2": {"perceptual": "symmetric_2"},
    "tanjim-4-lab": {"space": "lab"},
    "tanjim-cyclegan-rgb": {"space": "rgb", "alignment": "paired"},
    "cyclegan-unet": {"generator": "unet256"},
    "lohar": {"adversarial_weight": 0.0},
}


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid_and_says_what_it_is(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.title
    assert recipe.about
    assert load_recipe(name).to_mapping() == recipe.to_mapping()


@pytest.mark.parametrize(("name", "expected"), TABLE_ROWS.items())
def test_a_row_of_a_table_differs_as_the_table_says(name: str, expected: dict[str, object]) -> None:
    options = load_recipe(name).options
    assert {key: getattr(options, key) for key in expected} == expected


def test_the_papers_budgets_are_the_defaults() -> None:
    assert load_recipe("colormedgan").budget.iterations == 8 * 1707
    assert load_recipe("liang-2-proposal").budget.iterations == 200 * 20
    messidor = load_recipe("liang-3-proposal")
    assert (messidor.budget.iterations, messidor.data.batch) == (50 * 200, 2)
    assert load_recipe("colormedgan").options.learning_rate == 1e-4
    assert load_recipe("liang-2-proposal").options.learning_rate == 2e-3


@pytest.mark.parametrize("table", ["options", "data", "budget"])
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, table: str) -> None:
    wrong = {"options": "widht", "data": "bach", "budget": "iteration"}[table]
    right = {"options": "width", "data": "batch", "budget": "iterations"}[table]
    path = tmp_path / "r.toml"
    path.write_text(f'method = "cyclegan"\n[{table}]\n{wrong} = 3\n')
    with pytest.raises(UsageError, match=rf"r\.toml, table \[{table}\].*'{wrong}'.*'{right}'"):
        load_recipe(path)


def test_an_unknown_table_or_method_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('method = "cyclegan"\n[optoins]\nwidth = 3\n')
    with pytest.raises(UsageError, match="'optoins'.*'options'"):
        load_recipe(path)
    path.write_text('method = "cyclgan"\n')
    with pytest.raises(UsageError, match="'cyclgan'.*'cyclegan'"):
        load_recipe(path)
    with pytest.raises(UsageError, match="'colormedgn'.*colormedgan"):
        load_recipe("colormedgn")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\nbatch = 'two'", "batch.*int"),
        ("[data]\nbatch = 0", "batch.*1"),
        ("[data]\nflip = 1", "flip.*bool"),
        ("[data]\nplane = 'oblique'", "plane.*axial"),
        ("[data]\nslices = 4", "slices.*odd"),
        ("[budget]\niterations = 1.5", "iterations.*int"),
        ("[budget]\nprecision = 'fp8'", "precision.*bf16"),
        ("[options]\nlearning_rate = -1.0", "learning_rate.*greater than 0"),
        ("seed = 'x'\n", "seed"),
        ("data = 3\n", "data"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'method = "cyclegan"\n{text}\n')
    with pytest.raises(UsageError, match=message):
        load_recipe(path)


def test_extending_keeps_what_is_not_said_and_refuses_circles(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('method = "cyclegan"\n[options]\nwidth = 7\n[data]\nsize = 64\n')
    (tmp_path / "child.toml").write_text('extends = "base"\n[options]\nblocks = 2\n')
    child = load_recipe(tmp_path / "child.toml")
    assert (child.options.width, child.options.blocks, child.data.size) == (7, 2, 64)
    (tmp_path / "base.toml").write_text('extends = "child"\nmethod = "cyclegan"\n')
    with pytest.raises(UsageError, match="extends itself"):
        load_recipe(tmp_path / "child.toml")


def test_changes_find_their_table_and_beat_overlays_which_beat_the_file(tmp_path: Path) -> None:
    overlay = tmp_path / "data.toml"
    overlay.write_text("[data]\nbatch = 3\nsize = 32\n")
    recipe = load_recipe(
        "cyclegan-resnet9",
        overlays=[overlay],
        changes=["batch=5", "budget.iterations=7", "seed=9", "generator=unet256"],
    )
    assert (recipe.data.batch, recipe.data.size, recipe.budget.iterations, recipe.seed) == (5, 32, 7, 9)
    assert recipe.options.generator == "unet256"
    with pytest.raises(UsageError, match="'iteratons'.*'iterations'"):
        load_recipe("cyclegan-resnet9", changes=["iteratons=7"])
    with pytest.raises(UsageError, match="key=value"):
        load_recipe("cyclegan-resnet9", changes=["batch"])


def test_the_text_of_a_recipe_loads_as_the_same_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("colormedgan-t4-modal1", changes=['data.color_exclude=["75..110", "a\\"b"]', "title=Über ⚕"])
    path = tmp_path / "copy.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(path).to_mapping() == recipe.to_mapping()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text: str) -> None:
    assert tomllib.loads(f"value = {_toml(text)}")["value"] == text


def test_held_out_frames_of_the_shipped_data_files_are_the_readme_s() -> None:
    for name in ("visible-human-head-oasis", "visible-human-body"):
        recipe = load_recipe("cyclegan-resnet9", overlays=[Path(name)])
        assert recipe.data.color_exclude == ("75..110", "425..460", "635..670", "1095..1130")
    head = load_recipe("cyclegan-resnet9", overlays=[Path("visible-human-head-oasis")])
    assert set(head.data.gray_exclude) == {"1017", "1018", "1019", "1023"}


def test_a_recipe_without_a_method_says_so() -> None:
    with pytest.raises(UsageError, match="names no method"):
        make_recipe({}, "x", "x.toml")
