"""Pictures and films into files: PNG, GIF and MP4, each of them whole or not at all. Not for making the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import OutputError, UsageError
from ..imaging.atomic import AtomicTarget
from .marks import NOTICE

ENDINGS = (".png", ".gif", ".mp4")


def check_ending(path: Path) -> str:
    """The ending of a picture's or film's path; others are refused before any work is done."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{path} should end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if ending == ".mp4":
        _imageio()
    return ending


def save_png(
    path: Path, picture: NDArray[np.uint8], provenance: dict[str, Any] | None = None, *, overwrite: bool = False
) -> Path:
    """Write a picture; how its colour was made goes into its text fields."""
    with AtomicTarget(path, overwrite=overwrite) as target:
        text = PngInfo()
        text.add_text("Description", NOTICE)
        if provenance:
            text.add_text("medcolorize", json.dumps(provenance, sort_keys=True))
        Image.fromarray(picture).save(target.temporary, format="PNG", optimize=True, pnginfo=text)
        return target.commit()


def save_film(
    path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_second: float = 20.0, *, overwrite: bool = False
) -> Path:
    """Write a GIF (endless) or an MP4 (H.264) as the frames arrive."""
    ending = check_ending(path)
    with AtomicTarget(path, overwrite=overwrite) as target:
        if ending == ".gif":
            _write_gif(target.temporary, iter(frames), frames_per_second)
        elif ending == ".mp4":
            _write_mp4(target.temporary, frames, frames_per_second)
        else:
            raise UsageError(f"{path}: a film ends in .gif or .mp4.")
        return target.commit()


def _write_gif(path: Path, frames: Iterator[NDArray[np.uint8]], frames_per_second: float) -> None:
    first = next(frames)
    # One palette, taken from the first frame, keeps colours from flickering between frames.
    palette = Image.fromarray(first).quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)

    def indexed(frame: NDArray[np.uint8]) -> Image.Image:
        return Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)

    indexed(first).save(
        path,
        format="GIF",
        save_all=True,
        append_images=(indexed(frame) for frame in frames),
        duration=round(1000 / frames_per_second),
        loop=0,
        comment=NOTICE.encode(),
    )


def _write_mp4(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_second: float) -> None:
    imageio = _imageio()
    writer = imageio.get_writer(
        path,
        format="FFMPEG",
        fps=frames_per_second,
        codec="libx264",
        quality=8,
        macro_block_size=2,
        output_params=["-metadata", f"comment={NOTICE}"],
    )
    try:
        for frame in frames:
            height, width = (n - n % 2 for n in frame.shape[:2])
            writer.append_data(frame[:height, :width])
    except OSError as error:
        raise OutputError(f"{path.name}: ffmpeg stopped. Try a GIF, or another size.") from error
    finally:
        writer.close()


def _imageio() -> Any:
    try:
        import imageio.v2
    except ImportError:
        found = False
    else:
        found = find_spec("imageio_ffmpeg") is not None
    if not found:
        raise UsageError("MP4 needs imageio with ffmpeg: pip install 'imageio[ffmpeg]'. Or write a GIF.")
    return imageio.v2
