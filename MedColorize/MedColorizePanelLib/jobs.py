"""Work in the background, from nodes to nodes: voxels out in small steps, the worker, voxels back in small steps.

Copying a large volume in one go would freeze the application, so each copy is done by a timer, a few megabytes at a
time. Not for: what the nodes look like (MedColorizeLib.mrml) or widgets.
"""

import logging

import numpy as np
import qt
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from . import process
from .compat import tr as _
from .process import Failure

STEP_BYTES = 3 << 20
"""Copied between two turns of the event loop: a few milliseconds, also on a busy machine."""


class Steps:
    """Runs a generator from the event loop, one step a turn, until it ends, fails or is stopped."""

    def __init__(self, generator, onDone, onError):
        self._generator, self._onDone, self._onError = generator, onDone, onError
        self._timer = qt.QTimer()
        self._timer.interval = 0
        self._timer.connect("timeout()", self._step)
        self._timer.start()

    def stop(self):
        self._timer.stop()
        if self._generator is not None:
            self._generator.close()
            self._generator = None

    def _step(self):
        try:
            next(self._generator)
        except StopIteration as end:
            self.stop()
            self._onDone(end.value)
        except Exception as error:
            self.stop()
            self._onError(error)


def slabsOf(shape, itemBytes):
    """Ranges of slices that are about `STEP_BYTES` each."""
    perSlice = max(1, int(np.prod(shape[1:])) * itemBytes)
    step = max(1, STEP_BYTES // perSlice)
    return [(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def writeArrays(folder, arrays):
    """Steps that write `{file name: array}` into a request's folder."""
    from MedColorizeLib.app import protocol

    for name, array in arrays.items():
        file = protocol.ArrayFile(folder / name, array.shape, array.dtype)
        try:
            for start, stop in slabsOf(array.shape, array.dtype.itemsize):
                file.write(array[start:stop])
                yield
        finally:
            file.close()


def readImages(array, kinds=(3, 4)):
    """Steps that copy an array (K, J, I, C) into images with that many of its channels: RGB for slices, RGBA for 3D."""
    images = []
    for channels in kinds:
        image = vtk.vtkImageData()
        image.SetDimensions(array.shape[2], array.shape[1], array.shape[0])
        image.AllocateScalars(get_vtk_array_type(array.dtype), channels)
        target = vtk_to_numpy(image.GetPointData().GetScalars()).reshape((*array.shape[:3], channels))
        yield
        for start, stop in slabsOf(array.shape, array.shape[3] * array.dtype.itemsize):
            target[start:stop] = array[start:stop, ..., :channels]
            yield
        images.append(image)
    return images


class Job:
    """One request from beginning to end. `arrays` are written first; `receive(result, folder)` gives the last steps.

    `onDone(value)` gets what the last steps return; `onFailed(failure)` everything else, cancelling included. Exactly
    one of the two is called. The folder is gone afterwards. `grace`: milliseconds to stop in before it is killed.
    """

    def __init__(
        self, task, content, arrays=None, receive=None, onProgress=None, onDone=None, onFailed=None, grace=None
    ):
        self._grace = grace
        self._task, self._content, self._arrays, self._receive = task, content, arrays or {}, receive
        self._onProgress = onProgress or (lambda event: None)
        self._onDone = onDone or (lambda value: None)
        self._onFailed = onFailed or (lambda failure: None)
        self._steps = None
        self._worker = None
        self._over = False
        self.folder = None

    @property
    def running(self):
        return not self._over

    def start(self):
        try:
            self.folder = process.newFolder()
        except OSError as error:
            text = _("The temporary folder can't be written: {error}").format(error=error)
            qt.QTimer.singleShot(0, lambda: self._fail(Failure("OutputError", text)))
            return self
        self._onProgress({"stage": "send", "done": 0, "total": 0, "message": ""})
        self._steps = Steps(writeArrays(self.folder, self._arrays), self._startWorker, self._failWith)
        return self

    def cancel(self):
        """Stop at whatever stage it is; `onFailed` follows with a failure that says it was cancelled."""
        if self._over:
            return
        if self._worker is not None and self._worker.running:
            self._worker.cancel()
        else:
            self._fail(Failure("Cancelled", _("Cancelled: nothing was changed.")))

    def abandon(self):
        """Stop at once and call nobody back: the application or the module is going away."""
        self._onDone = self._onFailed = self._onProgress = lambda *ignored: None
        if self._over:
            return
        if self._worker is not None and self._worker.running:
            self._worker.abandon()
        self._close(wait=True)

    def _startWorker(self, _value):
        from MedColorizeLib.app import protocol

        self._arrays = {}
        protocol.write_request(self.folder, self._task, **self._content)
        self._worker = process.WorkerProcess(self.folder, self._onProgress, self._onResult, self._fail, self._grace)
        self._worker.start()

    def _onResult(self, result):
        if self._receive is None:
            self._succeed(result)
            return
        self._onProgress({"stage": "receive", "done": 0, "total": 0, "message": ""})
        self._steps = Steps(self._receive(result, self.folder), self._succeed, self._failWith)

    def _succeed(self, value):
        if not self._over:
            self._close()
            self._onDone(value)

    def _failWith(self, error):
        logging.debug("MedColorize: a job failed", exc_info=error)
        self._fail(Failure(type(error).__name__, str(error)))

    def _fail(self, failure):
        if not self._over:
            self._close()
            self._onFailed(failure)

    def _close(self, wait=False):
        self._over = True
        if self._steps is not None:
            self._steps.stop()
        self._arrays = {}
        if self.folder is not None:
            process.removeFolder(self.folder, wait)
