"""Adding to a finished bundle: what its training scans looked like, and pictures of a good and of a bad case.

Weights stay as they are; metadata, card and sums follow, and the whole is put in place in one step. Needs no torch.
Not for: making bundles (`write`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..imaging.atomic import AtomicTarget
from .card import with_pictures
from .folder import CARD, METADATA, PICTURES, SUMS, THUMBNAIL, Bundle, read_json
from .likeness import Likeness
from .verify import sha256_of, verify


def amend(
    folder: Path,
    *,
    likeness: Likeness | None = None,
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
    thumbnail: bytes | None = None,
) -> Bundle:
    """Put `likeness`, `pictures` (JPEG and caption by name, of `PICTURES`) and a PNG into the bundle at `folder`."""
    verify(folder)
    with AtomicTarget(folder, folder=True, overwrite=True) as target:
        made = target.temporary
        for path in folder.iterdir():  # which are known ones: it was verified
            shutil.copyfile(path, made / path.name)
        if likeness is not None:
            content = read_json(made / METADATA)
            content["medcolorize"]["likeness"] = likeness.to_mapping()
            (made / METADATA).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        if pictures is not None:
            for name in PICTURES:
                (made / name).unlink(missing_ok=True)
            for name, (content_of, _) in pictures.items():
                (made / name).write_bytes(content_of)
            captions = {name: caption for name, (_, caption) in pictures.items()}
            card = (made / CARD).read_text(encoding="utf-8")
            (made / CARD).write_text(with_pictures(card, captions), encoding="utf-8")
        if thumbnail is not None:
            (made / THUMBNAIL).write_bytes(thumbnail)
        write_sums(made)
        verify(made)
        target.commit()
    return verify(folder)


def write_sums(folder: Path) -> None:
    """SHA256SUMS of everything else that lies in the folder."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{sha256_of(folder / name)}  {name}\n" for name in names))
