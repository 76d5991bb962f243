"""A trained network as a painter: slices in the plane and frame of its training, colour back on the scan's own voxels.

What leaves is a proposal; luma, window, alpha and files are the `Colorizer`'s. The network runs on single slices: on
CPUs a batch of wide networks is slower (1.7 to 2.5 times at 8), and memory stays that of a few slices. Where a network
takes one core a slice (`plain_net`), the next are begun while this one is being painted.
Not for: trusting bundles (`bundles.verify`, which loading goes through).
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundles.folder import Bundle, read_bundle
from ..bundles.likeness import Comparison, Figures, of_other_modality
from ..errors import ModelError
from ..imaging.foreground import soft_mask
from ..imaging.luma import chroma_of, with_luma
from ..imaging.volume import Volume
from ..imaging.windows import modality_of
from ..progress import CancelToken
from ..training import frame
from .framing import Scene
from .likeness import SLICES, chosen_slices, measure
from .painter import Subject
from .plain_net import PlainNet
from .steady import apart, planned, shared
from .torch_net import TorchNet

if TYPE_CHECKING:
    from torch import nn

_IN_MEMORY = 256 << 20
"""A whole coloured volume that is larger (other planes than the array's own) is kept in a temporary file."""
_CHROMA_PARTS = 64
_WIDEST = 1.25
"""Bodies up to so many times as wide as a training picture are coloured: heads of 240 mm, and no thorax, at 192 mm."""


class Net(Protocol):
    """A network as it is run: a slice with its neighbours, (k, H, W) in -1..1, becomes (3, H, W) in 0..255."""

    ahead: int
    """How many slices it can run beside the painting; 0: it wants all cores for each."""
    precision: str
    notes: list[str]

    def __call__(self, stack: NDArray[np.float32]) -> NDArray[np.float32]: ...


class NetworkPainter:
    """A bundle's network, ready to propose colours (`inference.painter.SlabPainter`)."""

    def __init__(
        self, bundle: Bundle, network: Net | nn.Module, *, device: str = "auto", precision: str = "fp32"
    ) -> None:
        """`device` and `precision` are for a module of torch; whatever else runs (a `Net`) is taken as it is."""
        if bundle.kind != "color":
            raise ModelError(f"'{bundle.name}' is a {bundle.kind} model: it does not colour. Choose another model.")
        self.name, self.bundle = bundle.name, bundle
        self.net: Net = network if hasattr(network, "ahead") else TorchNet(network, self.name, device, precision)  # type: ignore[assignment, arg-type]
        self._pool = ThreadPoolExecutor(self.net.ahead, "slices") if self.net.ahead else None
        self._scenes: dict[int, tuple[weakref.ref[Subject], Scene]] = {}

    @property
    def notes(self) -> list[str]:
        """What is worth telling, e.g. that the processor took over."""
        return self.net.notes

    def describe(self) -> dict[str, Any]:
        """For the provenance."""
        return {
            "method": self.bundle.method,
            "model": self.bundle.name,
            "model_sha256": self.bundle.sha256,
            "model_plane": self.bundle.input.plane,
            "model_every_mm": self.bundle.input.every_mm,
            "precision": self.net.precision,
        }

    @property
    def keeps_luma(self) -> bool:
        """Whether what it proposes has the subject's luma, so that `chroma` says it all."""
        return bool(self.bundle.input.every_mm)

    def paint(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """RGB proposals (stop - start, J, I, 3) in 0..255."""
        made = self._painted(subject, start, stop, cancel)
        return np.moveaxis(with_luma(made, subject.gray[start:stop]) if self.keeps_luma else made, 0, -1)

    def chroma(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """The same proposals as red and blue less luma, (2, stop - start, J, I)."""
        made = self._painted(subject, start, stop, cancel)
        return made if self.keeps_luma else chroma_of(made)

    def _painted(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None) -> NDArray[np.float32]:
        """Red and blue less luma, (2, slices, J, I), or RGB, (3, slices, J, I), where luma is not the subject's own.

        Channel by channel in memory: so they come, and so the luminance lock takes them.
        """
        scene = self._scene(subject)
        out = np.empty((self._channels, stop - start, *subject.gray.shape[1:]), np.float32)
        if scene.turn.axes[0] == 0:
            count = scene.gray.shape[0]
            for k in range(start, stop):
                if cancel:
                    cancel.check()
                n, onward = (count - 1 - k, -1) if scene.turn.flips[0] else (k, 1)
                out[:, k - start] = scene.undo(self._slice(scene, n, onward))
            return out
        if scene.whole is None:
            self._paint_whole(scene, cancel)
        assert scene.whole is not None
        for one, whole in zip(out, scene.whole, strict=True):
            np.divide(scene.turn.undo(whole)[start:stop], self._parts, out=one, dtype=np.float32)
        return out

    @property
    def _channels(self) -> int:
        return 2 if self.keeps_luma else 3

    @property
    def _parts(self) -> int:
        """Into how many parts a code is divided where a whole volume is kept: chroma needs them, and its sign."""
        return _CHROMA_PARTS if self.keeps_luma else 1

    def across(self, subject: Subject) -> int:
        """How many slices lie across the array's slabs and so must be painted before the first slab; 0 if none do."""
        scene = self._scene(subject)
        return 0 if scene.turn.axes[0] == 0 else scene.gray.shape[0]

    def prepare(self, subject: Subject, cancel: CancelToken | None, tell: Callable[[], None]) -> None:
        """Paint those slices now, calling `tell` after each; else the first slab would take as long as them all."""
        scene = self._scene(subject)
        if scene.turn.axes[0] != 0 and scene.whole is None:
            self._paint_whole(scene, cancel, tell)

    def _paint_whole(self, scene: Scene, cancel: CancelToken | None, tell: Callable[[], None] | None = None) -> None:
        """All slices of a plane across the array's slabs, in whole numbers: made once, then handed out by slab."""
        shape, kind = (self._channels, *scene.gray.shape), np.dtype(np.int16 if self.keeps_luma else np.uint8)
        if int(np.prod(shape)) * kind.itemsize > _IN_MEMORY:
            scene.file = tempfile.TemporaryFile(prefix="medcolorize-")  # noqa: SIM115 - lives as long as the scene
            whole: NDArray[Any] = np.memmap(scene.file, kind, "w+", shape=shape)
        else:
            whole = np.empty(shape, kind)
        for n in range(len(scene.gray)):
            if cancel:
                cancel.check()
            made = self._slice(scene, n, 1)
            np.clip(made, 0 if kind == np.uint8 else -255, 255, out=made)
            made *= self._parts
            np.rint(made, out=whole[:, n], casting="unsafe")
            if tell:
                tell()
        scene.whole = whole

    def _scene(self, subject: Subject) -> Scene:
        held = self._scenes.get(id(subject))
        if held is not None and held[0]() is subject:
            return held[1]
        scene = Scene.of(subject, self.bundle.input)
        key = id(subject)
        self._scenes = {key: (weakref.ref(subject, lambda _: self._scenes.pop(key, None)), scene)}
        return scene

    def _slice(self, scene: Scene, n: int, onward: int) -> NDArray[np.float32]:
        """One slice in the plane's order, (channels, rows, columns); the next will be `n + onward`."""
        every = self.bundle.input.every_mm
        if self._pool:
            self._look_ahead(scene, n, onward)
        seen = partial(self._seen, scene)
        return scene.chroma_back(shared(scene, n, every, seen), n) if every else scene.back(seen(n), n)

    def _look_ahead(self, scene: Scene, n: int, onward: int) -> None:
        """Begin the network on what this slice and the next want, until there is enough to do."""
        every = self.bundle.input.every_mm
        step = apart(scene, every) if every else 1
        most = (self.net.ahead + 2) * step
        scene.ahead = max(scene.ahead, most + 4 * step)
        for m in range(n, n + onward * most, onward):
            waiting = sum(not future.done() for future in scene.kept.values())
            if not 0 <= m < len(scene.gray) or (m != n and waiting > self.net.ahead):
                return
            self._begin(scene, [source for source, _ in planned(scene, m, every) or ()] if every else [m])

    def _begin(self, scene: Scene, slices: Sequence[int]) -> None:
        """Where there are cores to spare: run the network on slices beside the painting, before they are wanted."""
        for n in slices:
            if self._pool and n not in scene.kept and n not in scene.keys:
                stack = scene.stack(n)
                scene.kept[n] = _made(None) if stack is None else self._pool.submit(self.net, stack)

    def _seen(self, scene: Scene, n: int) -> NDArray[np.float32] | None:
        """What the network makes of a slice, in its window; None for air, which needs no network."""
        if n in scene.kept:
            return scene.kept.pop(n).result()
        stack = scene.stack(n)
        return None if stack is None else self.net(stack)

    def figures(self, subject: Subject, slices: int = SLICES) -> list[Figures]:
        """What the subject looks like to this network, slice by slice (`inference.likeness`)."""
        scene = self._scene(subject)

        def colored(n: int) -> NDArray[np.float32] | None:
            made = self._seen(scene, n)
            if made is not None:
                scene.kept[n] = _made(made)  # it will be wanted again when the slice is painted
            return made

        every = self.bundle.input.every_mm
        chosen = chosen_slices(scene, slices, apart(scene, every) if every else 1)
        self._begin(scene, chosen)
        if self._pool and scene.turn.axes[0] == 0:  # the figures take a while: the first slices will be wanted next
            self._look_ahead(scene, *((len(scene.gray) - 1, -1) if scene.turn.flips[0] else (0, 1)))
        return measure(scene, colored, chosen)

    def likeness(self, subject: Subject) -> Comparison | None:
        """How far the subject is from what the network was trained on; None if nobody measured that."""
        made_for = self.bundle.input.modality
        if made_for and subject.modality and subject.modality != made_for:
            return of_other_modality(subject.modality, made_for)
        return None if self.bundle.likeness is None else self.bundle.likeness.compare(self.figures(subject))


def _made(picture: NDArray[np.float32] | None) -> Future[NDArray[np.float32] | None]:
    """What is there already, as if it had been begun."""
    future: Future[NDArray[np.float32] | None] = Future()
    future.set_result(picture)
    return future


def load_painter(name_or_folder: str | Path, device: str = "auto", precision: str = "fp32") -> NetworkPainter:
    """The painter of an installed bundle, or of a bundle folder; verified before anything in it is used."""
    from ..bundles.store import find

    folder = find(name_or_folder)
    if device != "cuda" and precision == "fp32" and not read_bundle(folder).needs_torch:
        bundle, net = PlainNet.load(folder)
        return NetworkPainter(bundle, net)
    try:
        import torch  # noqa: F401

        from ..bundles.load import load_network
    except ImportError as error:
        raise ModelError(
            f"The model '{name_or_folder}' needs {error.name}, which is not installed. Install MedColorize with its "
            "models (medcolorize[models]), or colour by a palette: --model palette."
        ) from None
    bundle, network = load_network(folder)
    return NetworkPainter(bundle, network, device=device, precision=precision)


def can_run(bundle: Bundle) -> bool:
    """Whether it can be run with the packages at hand."""
    return not bundle.needs_torch or all(find_spec(name) is not None for name in ("torch", "monai"))


def choose_bundle(volume: Volume) -> tuple[str | None, str]:
    """The installed model that suits this scan: of its modality, trained on bodies of its size; and a word to a person.

    A scan that states no modality (most NIfTI files) and is no CT is taken for MR, as the palettes do. Where some of
    the models know what scans they were made for (`likeness`), those that don't are left to be asked for by name. There
    is a word only where models were passed over for the body's size.
    """
    from ..bundles.store import installed

    modality = modality_of(volume) or "MR"
    suited = [
        entry.bundle
        for entry in installed()
        if entry.bundle is not None
        and entry.bundle.kind == "color"
        and entry.bundle.input.modality in (modality, "")
        and can_run(entry.bundle)
    ]
    candidates = [bundle for bundle in suited if bundle.likeness is not None] or suited
    if not candidates:
        return None, ""
    # Named for the modality before made for any; then the longest trained.
    candidates.sort(key=lambda b: (b.input.modality != modality, -int(b.training.get("step", 0)), b.name))
    across = _typical_mm(volume) if any(bundle.input.spacing for bundle in candidates) else 0.0
    fitting = [bundle.name for bundle in candidates if across <= _widest_mm(bundle)]
    if fitting:
        return fitting[0], ""
    widest = max(candidates, key=_widest_mm)
    return None, (
        f"Coloured by palette: the body is typically {across:.0f} mm wide, and no installed model for {modality} is "
        f"chosen by itself for more than {_widest_mm(widest):.0f} mm. Ask for '{widest.name}' by name to use it all "
        "the same."
    )


def _widest_mm(bundle: Bundle) -> float:
    """The widest body it is chosen for."""
    return _WIDEST * bundle.input.size * bundle.input.spacing if bundle.input.spacing else float("inf")


def _typical_mm(volume: Volume) -> float:
    """How wide the body is in most axial slices: the median diameter of circles as large as it.

    Not the widest slice: below a head there may be shoulders.
    """
    from ..imaging.windows import auto_window

    turn = frame.orientation(volume.affine, "axial")
    mask = soft_mask(turn.apply(volume.array), auto_window(volume), turn.mm)
    pixel = mask.steps[1] * turn.mm[1] * mask.steps[2] * turn.mm[2]
    areas = np.count_nonzero(mask.coarse > 127, axis=(1, 2)) * pixel
    return float(np.median(2 * np.sqrt(areas[areas > 0] / np.pi))) if areas.any() else 0.0
