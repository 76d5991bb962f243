"""Reading safetensors: what the library wrote comes back; what follows the format only nearly is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save_file

from MedColorizeLib.bundles.tensors import read_tensors
from MedColorizeLib.errors import ModelError

KINDS = ("float32", "float16", "int64", "int32", "uint8", "bool")
ARRAYS = st.sampled_from(KINDS).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=9).filter(lambda name: name != "__metadata__"), ARRAYS, max_size=5))
def test_what_the_library_wrote_comes_back(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("t") / "a.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path, {"by": "a test"})
    found, expected = read_tensors(path), load_file(path)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def file_of(path: Path, header: object, content: bytes = bytes(8), claimed: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if claimed is None else claimed).to_bytes(8, "little") + text + content)
    return path


def entry(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    ("header", "content", "claimed"),
    [
        (entry(), bytes(7), None),
        (entry(), bytes(9), None),
        (entry(data_offsets=[4, 12]), bytes(12), None),
        (entry(data_offsets=[0, 4]), bytes(8), None),
        (entry(data_offsets=[0]), bytes(8), None),
        (entry(data_offsets=[-8, 0]), bytes(8), None),
        (entry(data_offsets="08"), bytes(8), None),
        (entry(shape=[-2]), bytes(8), None),
        (entry(shape=[2.0]), bytes(8), None),
        (entry(shape=[True, 2]), bytes(8), None),
        (entry(shape=[2**40, 2**40]), bytes(8), None),
        (entry(shape=2), bytes(8), None),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), None),
        ({"a": 3}, bytes(8), None),
        ([1, 2], bytes(8), None),
        (b"{", bytes(8), None),
        (b"\xff\xfe", bytes(8), None),
        (b"[" * 100_000, bytes(8), None),
        (entry(), bytes(8), 1 << 40),
        (entry(), bytes(8), 0),
    ],
)
def test_what_does_not_follow_the_format_is_refused(
    header: object, content: bytes, claimed: int | None, tmp_path: Path
) -> None:
    path = file_of(tmp_path / "a.safetensors", header, content, claimed)
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        read_tensors(path)


def test_overlapping_tensors_and_unknown_types_are_refused(tmp_path: Path) -> None:
    both = {**entry(), "b": entry()["a"]}
    with pytest.raises(ModelError, match="where it should be"):
        read_tensors(file_of(tmp_path / "a", both))
    with pytest.raises(ModelError, match="BF16"):
        read_tensors(file_of(tmp_path / "b", entry(dtype="BF16")))
    for content in (b"", b"1234567"):
        (tmp_path / "c").write_bytes(content)
        with pytest.raises(ModelError, match="cut off"):
            read_tensors(tmp_path / "c")


def test_what_was_read_can_t_be_changed(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "a")
    with pytest.raises(ValueError, match="read-only"):
        read_tensors(tmp_path / "a")["a"][0] = 1
