"""The reference of the Colorize tab: a picture, or a library of them, in which the worker finds the nearest.

What is found is shown with its name before anything is coloured, and another of the nearest can be taken instead.
Not for: colouring (`coloring.py`), nor making libraries (`medcolorize exemplar index`).
"""

import os

import qt

from . import coloring
from .compat import tr as _
from .jobs import Job
from .widgets import chooseKey, fillCombo, fitWidth

HEIGHT = 110
ICON_SIZE = 32
PATIENCE = 300
"""Milliseconds without a change before the worker is asked: a path is typed key by key."""


class ReferencePart:
    """Visible while a model is chosen that colours after a picture."""

    def __init__(self, ui):
        self.ui = ui
        self._parameters = None
        self._job = None
        self._asked = None
        self._found = None  # what the worker told: count and nearest of a library
        self._shown = None  # which picture of the library is shown
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        self._timer.interval = PATIENCE
        self._timer.connect("timeout()", self._ask)
        ui.referencePath.connect("currentPathChanged(QString)", self._onPath)
        ui.referenceComboBox.iconSize = qt.QSize(ICON_SIZE, ICON_SIZE)
        ui.referenceComboBox.connect("currentIndexChanged(int)", self._onPicture)
        self._forget()

    @property
    def busy(self):
        """True while the worker looks, or is about to."""
        return self._job is not None or self._timer.active

    def setParameterNode(self, parameters):
        self._parameters = parameters

    def stop(self):
        """The scene or the module is going away."""
        self._timer.stop()
        if self._job is not None:
            self._job.abandon()
        self._job = self._asked = None
        self._forget()

    def update(self):
        parameters, ui = self._parameters, self.ui
        needed = parameters is not None and parameters.model.startswith("exemplar:")
        for widget in (ui.referenceLabel, ui.referencePath):
            widget.visible = needed
        if needed and ui.referencePath.currentPath != parameters.reference:
            ui.referencePath.currentPath = parameters.reference
        question = self._question() if needed else None
        if question != self._asked:
            self.stop()
            self._asked = question
            if question is not None:
                self._timer.start()
        elif self._found is not None and self._shown != parameters.referencePicture:
            self._showFound()

    def whyNot(self):
        """What is missing, or an empty text."""
        parameters = self._parameters
        if parameters is None or not parameters.model.startswith("exemplar:"):
            return ""
        if not parameters.reference:
            return _("Choose a reference picture, or a library of them.")
        if not os.path.isfile(parameters.reference):
            return _("There is no file {path}. Choose another reference picture or library.").format(
                path=parameters.reference
            )
        return ""

    def show(self, about, folder):
        """Show the picture that a result was coloured after."""
        picture = qt.QPixmap(str(folder / about["file"]))
        self._show(picture, _("Coloured after {name}.").format(name=about["name"]))

    #
    # What a person chooses
    #

    def _onPath(self, path):
        parameters = self._parameters
        if parameters is not None and parameters.reference != path:
            parameters.referencePicture = ""  # it was one of another library
            parameters.reference = path

    def _onPicture(self, _index):
        if self._parameters is not None and self.ui.referenceComboBox.currentData is not None:
            self._parameters.referencePicture = self.ui.referenceComboBox.currentData

    #
    # What the worker finds
    #

    def _question(self):
        """What an answer depends on."""
        parameters = self._parameters
        node = parameters.inputVolume
        window = (parameters.window, parameters.windowLow, parameters.windowHigh)
        return (parameters.reference, node.GetID() if node is not None else None, window)

    def _request(self):
        parameters = self._parameters
        request = coloring.Request(
            parameters.inputVolume,
            None,
            parameters.model,
            parameters.window,
            (parameters.windowLow, parameters.windowHigh),
            reference=parameters.reference,
            referencePicture=parameters.referencePicture,
        )
        try:
            return request.content()
        except Exception:  # no volume, or one that can't be coloured: Apply says so
            return {"reference": parameters.reference}, None

    def _ask(self):
        """Have the worker look: pictures and volumes take a while to read."""
        if self._parameters is None or self.whyNot():
            return
        content, arrays = self._request()
        self._show(None, _("Looking at the reference..."))

        def receive(result, folder):
            yield
            if "nearest" not in result:
                picture = qt.QPixmap(str(folder / result["file"]))
                text = _("Reference: {name}.").format(name=result["name"])
                if result["background"] == "cryosection":
                    text += " " + _("It looks like a section in blue gelatine: the blue is left out.")
                self._show(picture, text)
                return
            for entry in result["nearest"]:
                entry["pixmap"] = qt.QPixmap(str(folder / entry["file"])) if "file" in entry else None
                yield
            self._found = result
            self._fillCombo()
            self._showFound()

        def failed(failure):
            self._job = None
            self._show(None, failure.text)

        def done(_value):
            self._job = None

        self._job = Job("reference", content, arrays, receive, onDone=done, onFailed=failed).start()

    def _fillCombo(self):
        nearest = self._found["nearest"]
        if not nearest:
            return
        entries = [
            ("", _("Nearest: {name}").format(name=nearest[0]["name"]), _("The picture most like the input volume."))
        ]
        icons = [nearest[0]["pixmap"]]
        for entry in nearest:
            likeness = _("In {count} of 64 places it is lighter or darker than the input volume.")
            entries.append((entry["sha256"], entry["name"], likeness.format(count=entry["distance"])))
            icons.append(entry["pixmap"])
        icons = [qt.QIcon(icon) if icon is not None else qt.QIcon() for icon in icons]
        fillCombo(self.ui.referenceComboBox, entries, self._parameters.referencePicture, icons)
        self.ui.referenceComboBox.visible = self.ui.referencePictureChoiceLabel.visible = True

    def _showFound(self):
        """Show the picture that would be taken."""
        nearest, count = self._found["nearest"], self._found["count"]
        self._shown = chosen = self._parameters.referencePicture
        if not nearest:
            text = _("A library of {count} pictures. The nearest to the input volume will be taken.")
            self._show(None, text.format(count=count))
            return
        chooseKey(self.ui.referenceComboBox, chosen)
        entry = next((entry for entry in nearest if entry["sha256"] == chosen), nearest[0])
        text = (
            _("{name}: your choice of {count} pictures.") if chosen else _("{name}: the nearest of {count} pictures.")
        )
        self._show(entry["pixmap"], entry.get("problem") or text.format(name=entry["name"], count=count))

    def _forget(self):
        self._found = self._shown = None
        self.ui.referenceComboBox.visible = self.ui.referencePictureChoiceLabel.visible = False
        self._show(None, "")

    def _show(self, picture, text):
        label, caption = self.ui.referencePictureLabel, self.ui.referenceCaptionLabel
        label.visible = picture is not None
        if picture is not None:
            label.pixmap = fitWidth(picture, label.parent().width - 24, HEIGHT)
        caption.text = text
        caption.visible = bool(text)
