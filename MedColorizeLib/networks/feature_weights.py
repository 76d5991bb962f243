"""Weight files of the frozen feature nets: finding, checking, fetching with consent, reading.

The files are torchvision's published ones (their names carry the first eight digits of their SHA-256), or a file given
by path: `.pth`, `.safetensors`, or the Caffe-born `.npz` (VGG-19) and `.mat` (SqueezeNet). Nothing here is fetched
unless somebody said `download=True`, and nothing is unpickled that could run code. No network is defined here.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from ..progress import CancelToken, OnProgress, Progress

DOWNLOAD = "download"
"""Consent, said in an option, to fetching published weights that are not in the user's torch cache."""
DOWNLOAD_ROOT = "https://download.pytorch.org/models"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class KnownWeights:
    """A published weight file: its name and the first digits of its SHA-256, which the name carries."""

    file: str
    sha256_prefix: str


KNOWN: dict[str, KnownWeights] = {
    "vgg16": KnownWeights("vgg16-397923af.pth", "397923af"),
    "vgg19": KnownWeights("vgg19-dcbb9e9d.pth", "dcbb9e9d"),
    "squeezenet1_1": KnownWeights("squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
}


@dataclass(frozen=True)
class WeightFile:
    """A weight file that was found, and how: what reports say about a feature net."""

    network: str
    path: Path
    sha256: str
    origin: str
    """`given by path`, `torch hub cache` or `downloaded`."""

    def describe(self) -> dict[str, str]:
        """For reports and model cards; the folder stays out, for it may name a person."""
        return {"network": self.network, "file": self.path.name, "origin": self.origin, "sha256": self.sha256}


def hub_folder() -> Path:
    """Where torch keeps published weights for every program of this user."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def asked_for(option: str) -> tuple[str | None, bool]:
    """A person's words in an option as `find_weights` takes them: which file, and whether one may be fetched."""
    return (None, True) if option == DOWNLOAD else (option or None, False)


def find_weights(
    network: str,
    path: Path | str | None = None,
    *,
    download: bool = False,
    known: KnownWeights | None = None,
    root: str = DOWNLOAD_ROOT,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> WeightFile:
    """The weight file of `network`: the one given, else the user's torch cache, else (with consent) a download.

    `known` and `root` name another published file or a mirror of the publisher's server.
    """
    if path is not None:
        given = Path(path)
        if not given.is_file():
            raise ModelError(f"{given}: there is no such weight file. Give the path of the weights of {network}.")
        return WeightFile(network, given, sha256_of(given), "given by path")
    known = known or KNOWN.get(network)
    if known is None:
        raise ModelError(
            f"No weights are published for {network}. Give a weight file by path. Known: {', '.join(KNOWN)}."
        )
    cached = hub_folder() / known.file
    if cached.is_file():
        return WeightFile(network, cached, _checked(cached, known), "torch hub cache")
    if not download:
        raise ModelError(
            f"The weights of {network} ({known.file}) aren't on this computer. Give their path, put the file into "
            f"{hub_folder()}, or allow fetching it from {root} (in a recipe: "
            "features_weights = 'download'; with a reference: weights_file=download)."
        )
    return WeightFile(network, cached, _fetch(known, cached, root, on_progress, cancel), "downloaded")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}.") from error


def _checked(path: Path, known: KnownWeights) -> str:
    digest = sha256_of(path)
    if not digest.startswith(known.sha256_prefix):
        raise ModelError(
            f"{path} is damaged or isn't what its name says: its SHA-256 starts with {digest[:8]}, "
            f"not {known.sha256_prefix}. Remove it and fetch it again."
        )
    return digest


def _fetch(
    known: KnownWeights, target: Path, root: str, on_progress: OnProgress | None, cancel: CancelToken | None
) -> str:
    """Download beside the target, check, then put it in place, so that a broken download leaves nothing."""
    url = f"{root.rstrip('/')}/{known.file}"
    handle, temporary = -1, ""
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{known.file}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(url, timeout=60) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            while block := answer.read(_CHUNK):
                if cancel:
                    cancel.check()
                out.write(block)
                digest.update(block)
                done += len(block)
                if on_progress:
                    on_progress(Progress("download", done, total, known.file))
        if not digest.hexdigest().startswith(known.sha256_prefix):
            raise ModelError(f"What {url} sent isn't {known.file} (its SHA-256 differs). Nothing was kept; try again.")
        os.replace(temporary, target)
        temporary = ""
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise ModelError(f"{url} can't be fetched: {error}. Check the network, or give the file by path.") from error
    except OSError as error:
        raise ModelError(f"{target} can't be written: {error.strerror or error}.") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Any], str]:
    """The arrays of a weight file by their own names, and the input convention they were trained with.

    `torchvision`: RGB of [0, 1], minus ImageNet mean, over ImageNet standard deviation.
    `caffe`: BGR of 0..255 minus the mean colour. A safetensors file may say which in its metadata (`convention`).
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                return {name: file.get_tensor(name) for name in file.keys()}, metadata.get("convention", "torchvision")  # noqa: SIM118
        if suffix in (".pth", ".pt"):
            return dict(torch.load(path, map_location="cpu", weights_only=True)), "torchvision"
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}, "caffe"
        if suffix == ".mat":
            from scipy.io import loadmat

            return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}, "caffe"
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} isn't a plain weight file, or is damaged: it wasn't loaded.") from error
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}.") from error
    except Exception as error:  # each library has its own family of complaints about a damaged file
        raise ModelError(f"{path} can't be understood as weights ({type(error).__name__}: {error}).") from error
    raise ModelError(
        f"{path}: weights are read from .safetensors, .pth, .npz and .mat files, not from {suffix or 'this'}."
    )
