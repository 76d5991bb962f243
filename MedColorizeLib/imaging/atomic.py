"""Outputs that appear whole or not at all: written beside the target, then put in place in one step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Container
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import OutputError


class AtomicTarget:
    """A file or folder being written under a temporary name next to `path`.

    Used as a context manager: `commit()` puts it in place, leaving without `commit()` removes every trace of it.
    """

    def __init__(self, path: Path | str, *, folder: bool = False, overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not overwrite:
            raise OutputError(f"{self.path} exists already. Choose another name, or allow overwriting (--overwrite).")
        if self.path.exists() and self.path.is_dir() != folder:
            kind = "a folder" if self.path.is_dir() else "a file"
            raise OutputError(f"{self.path} is {kind}, so it can't be replaced by this output. Choose another name.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            prefix = f".{self.path.name[:40]}."
            if folder:
                self.temporary = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=self.path.parent))
                self.temporary.chmod(0o777 & ~_umask())
            else:
                # The ending stays, so that writers which choose the format by name can be given this path;
                # in lower case, because ITK silently writes nothing to a .MHA.
                ending = "".join(self.path.suffixes[-2:]).lower()
                handle, name = tempfile.mkstemp(prefix=prefix, suffix=f".tmp{ending}", dir=self.path.parent)
                os.close(handle)
                self.temporary = Path(name)
                self.temporary.chmod(0o666 & ~_umask())
        except OSError as error:
            raise OutputError(
                f"{self.path} can't be written: {error.strerror or error}. Choose a folder you may write to."
            ) from error
        self._committed = False

    def commit(self) -> Path:
        """Put what was written in place of `path`."""
        if self.temporary.is_dir() and self.path.is_dir():
            new = {item.name for item in self.temporary.iterdir()}
            refuse_foreign(self.path, {Path(name).suffix.lower() for name in new}, new)
        try:
            # Some writers (safetensors) make files that nobody else may read, whatever the umask says.
            files = self.temporary.rglob("*") if self.temporary.is_dir() else [self.temporary]
            for file in (each for each in files if each.is_file() and not each.is_symlink()):
                file.chmod(file.stat().st_mode & 0o777 | 0o666 & ~_umask())
            if self.temporary.is_dir() and self.path.is_dir():
                old = self.path.with_name(f".{self.path.name[:40]}.old.{os.getpid()}.tmp")
                os.replace(self.path, old)
                os.replace(self.temporary, self.path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(self.temporary, self.path)
        except OSError as error:
            raise OutputError(f"{self.path} can't be put in place: {error.strerror or error}.") from error
        self._committed = True
        return self.path

    def discard(self) -> None:
        """Remove what was written so far."""
        if self._committed:
            return
        if self.temporary.is_dir():
            shutil.rmtree(self.temporary, ignore_errors=True)
        else:
            self.temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()
        if isinstance(error, OSError):
            raise OutputError(
                f"{self.path} can't be written: {error.strerror or error}. "
                "Check the space left on the disk and your rights there."
            ) from error


def refuse_foreign(folder: Path, endings: set[str], names: Container[str] = ()) -> None:
    """A folder is replaced whole, so one that holds anything but such outputs is kept, whatever was allowed."""
    for item in folder.iterdir():
        known = item.name in names or (item.is_file() and item.suffix.lower() in endings)
        if not known and (item.is_dir() or not item.name.startswith(".")):
            raise OutputError(
                f"{folder} holds {item.name}, which replacing the folder would delete. Choose a folder of its own."
            )


def write_atomically(path: Path | str, content: str | bytes, *, overwrite: bool = True) -> None:
    """Write a small file in one step."""
    with AtomicTarget(path, overwrite=overwrite) as target:
        target.temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        target.commit()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
