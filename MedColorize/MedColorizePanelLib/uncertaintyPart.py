"""The uncertainty overlay of the Consistency tab: where the colours of three slicing directions disagree."""

import json
import logging

import numpy as np
import slicer

from . import coloring, compat, jobs, rendering
from .compat import tr as _
from .jobs import Failure
from .widgets import TimeLeft, showProgress

FIGURES = "MedColorize.uncertaintyFigures"
"""Attribute of the overlay: where it begins, the body's median, where the colour map ends."""


class UncertaintyPart:
    """One button: computes the overlay in the background, then shows and hides it."""

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self._parameters = None
        self._job = None
        self._timeLeft = TimeLeft()
        ui.uncertaintyProgressBar.visible = False
        ui.uncertaintyButton.connect("clicked(bool)", self.onClicked)
        ui.uncertaintySlider.connect("valueChanged(double)", self._onOpacity)
        logic.onCatalogue.append(lambda _catalogue: self.update())

    def setParameterNode(self, parameters):
        self._parameters = parameters
        self.update()

    def stop(self):
        """The scene or the module is going away: end the work without a word."""
        if self._job is not None:
            self._job.abandon()
        self._finish()

    #
    # What there is
    #

    def _colored(self):
        return self._parameters.measuredVolume if self._parameters is not None else None

    def _about(self):
        node = self._colored()
        return json.loads((node.GetAttribute("MedColorize.Provenance") if node is not None else None) or "{}")

    def node(self):
        """The overlay of the chosen volume, if it was computed."""
        colored = self._colored()
        return colored.GetNodeReference(coloring.UNCERTAINTY_ROLE) if colored is not None else None

    def shown(self):
        """True if a slice view shows the overlay."""
        node = self.node()
        return node is not None and any(
            composite.GetForegroundVolumeID() == node.GetID() for composite in rendering.composites(node.GetScene())
        )

    def _whyNot(self):
        parameters = self._parameters
        if self._colored() is None:
            return _("Choose a coloured volume first.")
        if self.node() is not None:
            return ""
        if parameters.measuredGray is None:
            return _("Choose the gray volume that it was made from.")
        about = self._about()
        name = about.get("model")
        if about.get("method") == "palette":
            return _("A palette colours every voxel by itself, so there is no uncertainty. Trained models have one.")
        if str(about.get("method")).startswith("exemplar:"):
            return _("Colours after a reference picture have no uncertainty. Trained models have one.")
        if not name:
            return _("This volume does not say which model coloured it.")
        if self.logic.model(f"bundle:{name}") is None:
            return _("The model “{name}” that coloured it is not installed.").format(name=name)
        return compat.reasonNotToRun()

    def update(self):
        ui, reason = self.ui, self._whyNot()
        if self._job is not None:
            text, tip = _("Ca&ncel"), _("Stop computing; the scene stays as it was.")
        elif self.shown():
            text, tip = _("Hide &uncertainty"), _("Show the gray volume and its colours again.")
        else:
            text = _("Show &uncertainty")
            tip = reason or _("Colours along three directions and shows, over the slices, where they disagree.")
        ui.uncertaintyButton.text, ui.uncertaintyButton.toolTip = text, tip
        ui.uncertaintyButton.enabled = self._job is not None or not reason
        ui.uncertaintySlider.enabled = self.shown()
        if self._job is None:
            self._say(reason if self._colored() is not None else "")

    def _say(self, text):
        node = self.node()
        if not text and node is not None:
            low, median, high = json.loads(node.GetAttribute(FIGURES))
            text = _(
                "Half of the body differs by less than {median:.1f} dE (CIEDE2000). Clear: below {low:.1f}; dark blue "
                "to cyan: up to {high:.1f} and more."
            ).format(low=low, median=median, high=high)
        self.ui.uncertaintyLabel.text = text
        self.ui.uncertaintyLabel.visible = bool(text)

    #
    # Work
    #

    def onClicked(self):
        if self._job is not None:
            self.ui.uncertaintyButton.enabled = False
            self._job.cancel()
        elif self._whyNot():
            return
        elif self.shown():
            self._show(False)
        elif self.node() is not None:
            self._show(True)
        else:
            self._compute()

    def _compute(self):
        about, colored = self._about(), self._colored()
        model = "bundle:{}".format(about["model"])
        try:
            self.logic.ensureDependencies(model)
            window = about.get("window")
            request = coloring.Request(
                self._parameters.measuredGray, None, model, "range" if window else "auto", window or (0, 1)
            )
            content, arrays = request.content()
            content["model_sha256"] = about.get("model_sha256")

            def receive(result, folder):
                return (yield from _receiveOverlay(result, folder, colored))

            self._job = jobs.Job(
                "uncertainty", content, arrays, receive, self._onProgress, self._onDone, self._onFailed
            ).start()
        except Exception as error:
            logging.debug("MedColorize: the uncertainty was not begun", exc_info=error)
            self._onFailed(Failure(type(error).__name__, str(error)))
            return
        self.ui.uncertaintyProgressBar.visible = True
        self.update()

    def _onProgress(self, event):
        self.ui.uncertaintyLabel.visible = True
        showProgress(self.ui.uncertaintyProgressBar, self.ui.uncertaintyLabel, self._timeLeft, event)

    def _onDone(self, _node):
        self._finish()
        self._show(True)

    def _onFailed(self, failure):
        self._finish()
        self._say(failure.text)
        if not failure.cancelled:
            slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

    def _finish(self):
        self._job = None
        self.ui.uncertaintyProgressBar.visible = False
        self.update()

    #
    # Views
    #

    def _show(self, on):
        colored = rendering.slicesOf(self._colored())
        if on:
            opacity = self.ui.uncertaintySlider.value / 100
            slicer.util.setSliceViewerLayers(background=colored, foreground=self.node(), foregroundOpacity=opacity)
        else:
            gray = self._parameters.measuredGray
            slicer.util.setSliceViewerLayers(
                background=gray or colored, foreground=colored if gray else None, foregroundOpacity=1.0
            )
        self.update()

    def _onOpacity(self, percent):
        node = self.node()
        for composite in rendering.composites(node.GetScene()) if node is not None else ():
            if composite.GetForegroundVolumeID() == node.GetID():
                composite.SetForegroundOpacity(percent / 100)


def _receiveOverlay(result, folder, colored):
    """Steps from the worker's answer to the overlay's node."""
    from MedColorizeLib.app import protocol
    from MedColorizeLib.imaging.volume import Volume
    from MedColorizeLib.mrml import overlay

    array = protocol.load_array(folder, result["file"])
    (image,) = yield from jobs.readImages(array[..., None], (1,))
    scene = colored.GetScene()
    if scene is None:
        raise RuntimeError(_("The coloured volume was removed meanwhile, so the result was dropped."))
    low = max(0.5, 0.1 * result["high"])
    high = max(result["high"], low + 0.5)
    tiny = Volume(np.zeros((1, 1, 1), array.dtype), np.array(result["affine"]))
    name = _("{name}: uncertainty").format(name=colored.GetName())
    node = overlay.overlay_node(scene, tiny, colored, name, low, high)
    node.SetAndObserveImageData(image)
    node.SetAttribute(FIGURES, json.dumps([low, result["median"], high]))
    colored.SetNodeReferenceID(coloring.UNCERTAINTY_ROLE, node.GetID())
    compat.showColorLegend(node, _("Uncertainty (dE)"))
    return node
