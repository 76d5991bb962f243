"""The worker process as the panel holds it: started, listened to, stopped. Nothing here blocks the user interface.

One `WorkerProcess` is one request. It calls back `onProgress` for each event and then exactly one of `onDone` (with the
result) and `onFailed` (with a `Failure`), after the process has really ended. Knows nothing of volumes or nodes.
"""

import logging
import os
import re
import shutil
import signal
import threading
from pathlib import Path

import qt
import slicer

from . import compat
from .compat import tr as _

GRACE_MILLISECONDS = 4000
"""How long a worker may take to stop by itself before it is killed with everything it started."""

_LONGEST_TAIL = 8192
_ANSI = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
_removing = []
_START = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startWorker.py")


class Failure:
    """Why there is no result: what a person should read, and what kind of trouble it was."""

    def __init__(self, kind, text, details="", package=""):
        self.kind, self.text, self.details, self.package = kind, text, details, package

    @property
    def cancelled(self):
        return self.kind == "Cancelled"


class Lines:
    """Whole lines out of whatever pieces the pipe delivers; endless lines are dropped instead of growing for ever."""

    def __init__(self, longest):
        self._rest, self._longest, self._dropping = b"", longest, False

    def feed(self, data):
        pieces = (self._rest + data).split(b"\n")
        self._rest = pieces.pop()
        if self._dropping and pieces:
            pieces, self._dropping = pieces[1:], False
        if len(self._rest) > self._longest:
            self._rest, self._dropping = b"", True
        return [_ANSI.sub(b"", piece).decode("utf-8", "replace") for piece in pieces]


class WorkerProcess:
    """A request on its way: `folder` holds `request.json` and is private to it."""

    def __init__(self, folder, onProgress, onDone, onFailed, grace=None):
        self.folder = Path(folder)
        self._grace = grace
        self._onProgress, self._onDone, self._onFailed = onProgress, onDone, onFailed
        self._answer = None
        self._cancelled = False
        self._pid = None
        self._tail = b""
        self._over = False
        self._process = None
        self._deadline = qt.QTimer()
        self._deadline.singleShot = True
        self._deadline.connect("timeout()", self.kill)

    @property
    def running(self):
        return self._process is not None and not self._over

    def start(self):
        """Start the process; a failure to start is told by `onFailed`, later."""
        from MedColorizeLib.app import protocol

        self._decode = protocol.decode
        self._cancelFile = self.folder / protocol.CANCEL
        self._lines = Lines(protocol.LONGEST_LINE)
        executable, isExternal = compat.pythonForWork()
        process = qt.QProcess()
        process.setProcessEnvironment(compat.environmentForWork(isExternal))
        for signature, slot in self._connections():
            process.connect(signature, slot)
        self._process = process
        process.start(executable, [_START, compat.libraryRoot(), str(self.folder), "--parent", str(os.getpid())])

    def _connections(self):
        return (
            ("readyReadStandardOutput()", self._onOutput),
            ("readyReadStandardError()", self._onErrorOutput),
            ("finished(int,QProcess::ExitStatus)", self._onFinished),
            ("errorOccurred(QProcess::ProcessError)", self._onProcessError),
        )

    def cancel(self):
        """Ask the worker to stop, and make sure that it does. Asking twice is asking once."""
        if self._over or self._cancelled:
            return
        self._cancelled = True
        try:
            self._cancelFile.touch()
        except OSError:
            logging.debug("MedColorize: the request's folder is gone already")
        if self._pid is not None and os.name != "nt":
            _signal(self._pid, signal.SIGTERM, group=False)
        self._deadline.start(GRACE_MILLISECONDS if self._grace is None else self._grace)

    def kill(self):
        """End the worker, its children and the launcher between us and it, now."""
        if self._over or self._process is None:
            return
        self._cancelled = True
        shutil.rmtree(str(self.folder), ignore_errors=True)  # a worker that was just starting finds nothing to do
        if self._pid is not None:
            killTree(self._pid)
        self._process.kill()

    def abandon(self):
        """Kill it and hear no more of it: the application or the module is going away."""
        if self._over or self._process is None:
            return
        self.kill()
        self._over = True
        self._deadline.stop()
        for signature, slot in self._connections():
            self._process.disconnect(signature, slot)
        self._process.waitForFinished(1000)  # killed: this only collects it, in milliseconds

    #
    # What the process tells
    #

    def _onOutput(self):
        self._read(self._process.readAllStandardOutput())

    def _read(self, data):
        latest = None
        for line in self._lines.feed(_bytes(data)):
            event = self._decode(line)
            if event is None:
                continue
            kind = event["event"]
            if kind == "progress":
                # A flood of events must not become a flood of repaints; events that carry figures are all wanted.
                if event.get("figures"):
                    self._onProgress(event)
                else:
                    latest = event
            elif kind == "hello":
                self._pid = event.get("pid")
            elif kind in ("result", "error") and self._answer is None:
                self._answer = event
        if latest is not None and not self._cancelled:
            self._onProgress(latest)

    def _onErrorOutput(self):
        data = _bytes(self._process.readAllStandardError())
        self._tail = (self._tail + data)[-_LONGEST_TAIL:]

    def _onProcessError(self, error):
        if error == qt.QProcess.FailedToStart:
            text = _("The worker process could not be started: {path}").format(path=compat.pythonForWork()[0])
            self._finish(Failure("NotStarted", text))

    def _onFinished(self, exitCode, exitStatus=0):
        self._onOutput()
        self._onErrorOutput()
        details = _ANSI.sub(b"", self._tail).decode("utf-8", "replace").strip()
        answer = self._answer
        if self._cancelled:
            self._finish(Failure("Cancelled", _("Cancelled: nothing was changed.")))
        elif answer is not None and answer["event"] == "result":
            self._finish(None, answer.get("result"))
        elif answer is not None:
            self._finish(
                Failure(str(answer.get("kind")), str(answer.get("text")), details, str(answer.get("package") or ""))
            )
        elif exitCode in (-9, 9, 137, 247):
            text = _(
                "The worker was ended by the system, most likely because memory ran out. Close other volumes "
                "and programs, "
                "or crop the volume, and try again."
            )
            self._finish(Failure("Killed", text, details))
        else:
            text = _("The worker ended without an answer (exit code {code}).").format(code=exitCode)
            reason = details.splitlines()[-1] if details else ""
            self._finish(Failure("Crashed", "\n".join(filter(None, (text, reason))), details))

    def _finish(self, failure, result=None):
        if self._over:
            return
        self._over = True
        self._deadline.stop()
        if failure is None:
            self._onDone(result)
        else:
            self._onFailed(failure)


def killTree(pid):
    """Kill a worker and everything it started; it leads a process group of its own."""
    if os.name == "nt":
        qt.QProcess.startDetached("taskkill", ["/PID", str(pid), "/T", "/F"])
    else:
        _signal(pid, signal.SIGKILL, group=True)


def _signal(pid, number, group):
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _bytes(data):
    content = data.data() if hasattr(data, "data") else data
    return content if isinstance(content, bytes) else bytes(content)


def newFolder():
    """A private folder for a request, in the application's temporary folder."""
    import tempfile

    parent = slicer.app.temporaryPath
    os.makedirs(parent, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="MedColorize-", dir=parent))


def removeFolder(folder, wait=False):
    """Forget a request's folder; on Windows a file that is still mapped stays until the application ends.

    A thread does it (giving back large files can take as long as a blink), unless the application is about to end.
    """
    if wait:
        shutil.rmtree(str(folder), ignore_errors=True)
        return
    thread = threading.Thread(target=shutil.rmtree, args=(str(folder), True))
    _removing[:] = [each for each in _removing if each.is_alive()] + [thread]
    thread.start()


def removing():
    """True while folders are being removed."""
    return any(thread.is_alive() for thread in _removing)
