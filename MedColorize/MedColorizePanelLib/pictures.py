"""Little pictures of models: a bundle's thumbnail, a palette's colours, and a drawn one for the rest.

Not for: the previews and samples that the worker makes.
"""

import os
import struct
import tempfile
import zlib

import numpy as np
import qt
import slicer

SIZE = 96
"""Pixels a side of what is drawn; lists show it smaller, sharp on fine screens, too."""

_cache = {}


def pictureOf(model):
    """The picture of an entry of the catalogue (None: whatever suits best)."""
    model = model or {}
    thumbnail = str(model.get("thumbnail") or "")
    colors = model.get("colors") or ()
    key = (thumbnail, os.path.getmtime(thumbnail)) if os.path.isfile(thumbnail) else str(colors)
    if key not in _cache:
        picture = qt.QPixmap(thumbnail) if key != str(colors) else qt.QPixmap()
        if picture.isNull():
            picture = _pixmap(swatches(colors) if colors else ball())
        _cache[key] = picture
    return _cache[key]


def iconOf(model):
    """The picture as an icon for lists."""
    return qt.QIcon(pictureOf(model))


def swatches(colors):
    """A strip of these colours from left to right, shading into one another, with round corners: (SIZE, SIZE, RGBA)."""
    at, table = np.linspace(0, 1, len(colors)), np.array(colors, float)
    x = np.linspace(0, 1, SIZE)
    row = np.stack([np.interp(x, at, table[:, channel]) for channel in range(3)], axis=-1)
    out = np.full((SIZE, SIZE, 4), 255, np.uint8)
    out[..., :3] = np.rint(row)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    corner = np.hypot(np.maximum(np.abs(x) - 0.8, 0), np.maximum(np.abs(y) - 0.8, 0))
    out[..., 3] = 255 * np.clip((0.2 - corner) * SIZE / 2, 0, 1)
    return out


def ball():
    """A lit ball, gray on the left and coloured on the right: what a model does, drawn."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    radius = np.hypot(x, y)
    height = np.sqrt(np.clip(1 - radius * radius, 0, 1))
    light = np.clip(0.25 + 0.75 * (height * 0.75 - 0.4 * x - 0.5 * y), 0.12, 1)
    tint = np.where(x[..., None] < 0, [0.85, 0.85, 0.85], [0.93, 0.62, 0.52])
    out = np.empty((SIZE, SIZE, 4), np.uint8)
    out[..., :3] = np.rint(255 * np.clip(light[..., None] * tint, 0, 1))
    out[..., 3] = 255 * np.clip((0.97 - radius) * SIZE / 2, 0, 1)
    return out


def _pixmap(array):
    """An RGBA array as a pixmap, by way of a PNG file: Qt reads it in every version."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(array))
    height, width = array.shape[:2]

    def chunk(kind, content):
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    os.makedirs(slicer.app.temporaryPath, exist_ok=True)
    number, path = tempfile.mkstemp(suffix=".png", dir=slicer.app.temporaryPath)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(png)
        return qt.QPixmap(path)
    finally:
        os.remove(path)
