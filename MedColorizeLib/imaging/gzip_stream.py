"""A gzip file written by several threads, because compression is what writing a volume waits for.

Blocks are deflated independently and joined by sync flushes into one ordinary gzip member, which every reader knows.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

_LEVEL = 1
"""Fast: on images the higher levels take several times longer for a few per cent."""
_BLOCK = 1 << 20


class ParallelGzip:
    """A write-only stream: `write` bytes in order, then `close`. Memory stays at a few blocks a thread."""

    def __init__(self, stream: BinaryIO, threads: int | None = None) -> None:
        self._stream = stream
        self._threads = threads or min(8, int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gzip")
        self._pending: deque[Future[bytes]] = deque()
        self._rest = bytearray()
        self._crc = 0
        self._size = 0
        stream.write(b"\x1f\x8b\x08\x00" + b"\x00" * 4 + b"\x04\xff")

    def write(self, data: memoryview | bytes) -> None:
        """Append bytes."""
        view = memoryview(data).cast("B")
        self._crc = zlib.crc32(view, self._crc)
        self._size += len(view)
        self._rest += view
        whole = len(self._rest) - len(self._rest) % _BLOCK
        for start in range(0, whole, _BLOCK):
            self._submit(bytes(self._rest[start : start + _BLOCK]))
        del self._rest[:whole]

    def _submit(self, block: bytes) -> None:
        while len(self._pending) >= 2 * self._threads:
            self._stream.write(self._pending.popleft().result())
        self._pending.append(self._pool.submit(_deflate, block))

    def close(self) -> None:
        """Write what is left, and the trailer. The underlying stream stays open."""
        if self._rest:
            self._submit(bytes(self._rest))
            self._rest.clear()
        while self._pending:
            self._stream.write(self._pending.popleft().result())
        self._stream.write(b"\x03\x00" + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))
        self._pool.shutdown()

    def abandon(self) -> None:
        """Stop the threads without finishing the file."""
        self._pool.shutdown(cancel_futures=True)


def _deflate(block: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
