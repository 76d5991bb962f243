"""Checkpoints: weights, metadata and trainer state apart, in a folder that appears whole or not at all.

    RUN/checkpoints/00000500/weights.safetensors    every trained network, `network/parameter`
                             metadata.json          iteration, method, figures, SHA-256 of every file
                             trainer-0.{json,safetensors}   optimizers, schedules, pools; one per process
    RUN/best.json                                   which checkpoint is the best, and by what

Not for: exported models (bundles).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError, ResourceError
from ..imaging.atomic import write_atomically
from ..methods.base import Method
from .state import finite, load_state, save_state


def folder_of(run: Path) -> Path:
    """Where a run keeps its checkpoints."""
    return run / "checkpoints"


def complete(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first. (A folder has its final name only once everything is in it.)"""
    found = folder_of(run)
    return sorted(path for path in found.iterdir() if path.name.isdigit()) if found.is_dir() else []


def save(
    run: Path, iteration: int, method: Method, trainer: Mapping[str, Any], facts: Mapping[str, Any], fabric: Fabric
) -> Path:
    """Write a checkpoint; every process adds its own trainer state, the first one puts the folder in place."""
    final = folder_of(run) / f"{iteration:08d}"
    temporary = folder_of(run) / f".{iteration:08d}.tmp"
    if fabric.is_global_zero:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    fabric.barrier()
    save_state(trainer, temporary, f"trainer-{fabric.global_rank}")
    fabric.barrier()
    if fabric.is_global_zero:
        weights = network_tensors(method)
        broken = finite(weights)
        if broken:
            shutil.rmtree(temporary, ignore_errors=True)
            raise ResourceError(
                f"Training has diverged: {broken} holds numbers that are not finite. The last good checkpoint is kept. "
                "Start again with a smaller learning rate or in fp32."
            )
        save_file(weights, temporary / "weights.safetensors")
        files = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        text = json.dumps({**facts, "iteration": iteration, "processes": fabric.world_size, "sha256": files}, indent=1)
        (temporary / "metadata.json").write_text(text)
        for path in temporary.iterdir():
            _flush(path)
        if final.exists():  # a run resumed before this point: the newer one is the same, bit for bit
            shutil.rmtree(final)
        os.replace(temporary, final)
    fabric.barrier()
    return final


def network_tensors(method: Method) -> dict[str, Tensor]:
    """The weights of every trained network, on the CPU, as `network/parameter`."""
    return {
        f"{name}/{key}": value.detach().to("cpu", copy=True).contiguous()
        for name, network in method.networks().items()
        for key, value in network.state_dict().items()
    }


def load_networks(folder: Path, method: Method, *, some: bool = False) -> None:
    """Put a checkpoint's weights into the method's networks; anything that does not fit is an error.

    `some`: networks that the checkpoint does not have keep their own.
    """
    tensors = load_file(folder / "weights.safetensors")
    held = {key.partition("/")[0] for key in tensors}
    for name, network in method.networks().items():
        if some and name not in held:
            continue
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise InputError(
                f"The checkpoint {folder} does not fit the recipe's network {name}: {str(error).splitlines()[0]}"
            ) from error


def load(folder: Path, method: Method, fabric: Fabric) -> tuple[dict[str, Any], dict[str, Any]]:
    """Restore the networks; the metadata and this process's trainer state are returned."""
    facts = read_facts(folder)
    if facts["processes"] != fabric.world_size:
        raise InputError(
            f"This run was trained by {facts['processes']} processes and is resumed by {fabric.world_size}. "
            f"Resume it with torchrun --nproc-per-node {facts['processes']}."
        )
    load_networks(folder, method)
    return facts, load_state(folder, f"trainer-{fabric.global_rank}")


def read_facts(folder: Path) -> dict[str, Any]:
    """A checkpoint's metadata, after its files were found whole."""
    try:
        facts: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
        damaged = [name for name, value in facts["sha256"].items() if sha256_of(folder / name) != value]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The checkpoint {folder} is damaged: {error}. Remove that folder to use the one before."
        ) from error
    if damaged:
        raise InputError(
            f"The checkpoint {folder} is damaged: {', '.join(damaged)} changed since it was written. Remove that "
            "folder to use the one before."
        )
    return facts


def newest(run: Path) -> Path | None:
    """The newest checkpoint that is whole; a damaged one is passed over if there is an older one."""
    found = complete(run)
    for folder in reversed(found):
        try:
            read_facts(folder)
        except InputError:
            if folder is found[0]:
                raise
            continue
        return folder
    return None


def mark_best(run: Path, folder: Path, figure: str, value: float) -> None:
    """Say which checkpoint is the best so far."""
    write_atomically(run / "best.json", json.dumps({"checkpoint": folder.name, "figure": figure, "value": value}))


def best(run: Path) -> dict[str, Any] | None:
    """What `mark_best` last said."""
    path = run / "best.json"
    return json.loads(path.read_text()) if path.is_file() else None


def prune(run: Path, keep: int = 2) -> None:
    """Keep the last `keep` checkpoints and the best one."""
    marked = best(run)
    for folder in complete(run)[:-keep]:
        if not marked or folder.name != marked["checkpoint"]:
            shutil.rmtree(folder, ignore_errors=True)
    for leftover in folder_of(run).glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Onto the disk, so that a power cut can't leave a whole-looking folder with empty files."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def trainer_state(method: Method, schedulers: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but the weights that the next step depends on."""
    return {
        "optimizers": {name: each.state_dict() for name, each in method.optimizers().items()},
        "schedulers": {name: each.state_dict() for name, each in schedulers.items()},
        "method": method.state(),
        "torch": torch.get_rng_state(),
        "extra": dict(extra),
    }


def restore_trainer(method: Method, schedulers: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `trainer_state`; returns `extra`."""
    for name, optimizer in method.optimizers().items():
        optimizer.load_state_dict(state["optimizers"][name])
    for name, scheduler in schedulers.items():
        scheduler.load_state_dict(state["schedulers"][name])
    method.load_state(state["method"])
    torch.set_rng_state(state["torch"])
    return dict(state["extra"])
