"""The reference picture of the Colorize tab: chosen by its path, shown, or found in a library by the worker."""

import os

import qt

from .compat import tr as _
from .jobs import Job
from .widgets import fitWidth

HEIGHT = 110


class ReferencePart:
    """Visible while a model is chosen that colours after a picture."""

    def __init__(self, ui):
        self.ui = ui
        self._parameters = None
        self._job = None
        self._told = None
        ui.referencePath.connect("currentPathChanged(QString)", self._onPath)

    def setParameterNode(self, parameters):
        self._parameters = parameters
        self._told = None

    def stop(self):
        if self._job is not None:
            self._job.abandon()
        self._job, self._told = None, None

    def update(self):
        parameters, ui = self._parameters, self.ui
        needed = parameters is not None and parameters.model.startswith("exemplar:")
        for widget in (ui.referenceLabel, ui.referencePath):
            widget.visible = needed
        path = parameters.reference if needed else ""
        if needed and ui.referencePath.currentPath != path:
            ui.referencePath.currentPath = path
        if path != self._told:
            self._told = path
            self._ask(path)
        if not needed:
            self._show(None, "")

    def whyNot(self):
        """What is missing, or an empty text."""
        parameters = self._parameters
        if parameters is None or not parameters.model.startswith("exemplar:"):
            return ""
        if not os.path.isfile(parameters.reference):
            return _("Choose a reference picture, or a library of them.")
        return ""

    def show(self, about, folder):
        """Show the picture that a result was coloured after."""
        picture = qt.QPixmap(str(folder / about["file"]))
        self._show(picture, _("Reference: {name}").format(name=about["name"]))

    def _onPath(self, path):
        if self._parameters is not None and self._parameters.reference != path:
            self._parameters.reference = path

    def _ask(self, path):
        """Have the worker look at a path: large pictures take a while to read."""
        if self._job is not None:
            self._job.abandon()
            self._job = None
        self._show(None, "")
        if os.path.isfile(path):

            def receive(result, folder):
                yield
                if "count" in result:
                    text = _("A library of {count} pictures: the nearest is taken.")
                    self._show(None, text.format(count=result["count"]))
                else:
                    self.show(result, folder)

            def failed(failure):
                self._job = None
                self._show(None, failure.text)

            def done(_value):
                self._job = None

            self._job = Job("reference", {"reference": path}, None, receive, onDone=done, onFailed=failed).start()

    def _show(self, picture, text):
        label, caption = self.ui.referencePictureLabel, self.ui.referenceCaptionLabel
        label.visible = picture is not None
        if picture is not None:
            label.pixmap = fitWidth(picture, self.ui.referencePictureLabel.parent().width - 24, HEIGHT)
        caption.text = text
        caption.visible = bool(text)
