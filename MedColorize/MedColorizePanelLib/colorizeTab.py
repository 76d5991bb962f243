"""The Colorize tab: what is coloured, by what, and the one button that starts and stops it."""

import json
import logging
import time

import qt
import slicer
import vtk

from . import coloring, compat, pictures
from .compat import tr as _
from .jobs import Failure
from .referencePart import ReferencePart
from .widgets import TimeLeft, bytesText, chooseKey, fillCombo, showProgress

PREVIEW_HEIGHT = 170
CARD_SIZE, ICON_SIZE = 56, 24  # pixels of a model's picture beside its description, and in the list
CT_WINDOWS = ("abdomen", "angio", "bone", "brain", "liver", "lung", "mediastinum", "soft-tissue", "whole")


class ColorizeTab:
    """Widgets of the tab, bound to the parameter node; the work is `coloring`'s."""

    def __init__(self, ui, logic, onColored):
        self.ui, self.logic, self._onColored = ui, logic, onColored
        self._parameters = None
        self._job = None
        self._previewJob = None
        self._timeLeft = TimeLeft()
        self._sceneTags = []
        ui.progressBar.visible = False
        ui.previewWidget.visible = False
        ui.modelComboBox.iconSize = qt.QSize(ICON_SIZE, ICON_SIZE)
        fillCombo(
            ui.windowComboBox,
            [
                ("auto", _("Automatic"), _("What a person would most likely choose for this scan.")),
                ("display", _("As displayed"), _("The window and level that the slice views use now.")),
                ("range", _("Given below"), _("The two numbers below.")),
            ]
            + [
                (name, _("CT {name}").format(name=name), _("A named window in Hounsfield units."))
                for name in CT_WINDOWS
            ],
        )
        fillCombo(
            ui.fidelityComboBox,
            [
                ("exact", _("Exact"), _("Every voxel keeps the brightness of the windowed input exactly.")),
                ("balanced", _("Balanced"), _("Brightness may move a little where that makes colours more natural.")),
                ("free", _("Free"), _("The model's colours as they are; brightness is not kept.")),
            ],
        )
        fillCombo(
            ui.framesComboBox,
            [("current", _("This frame only"), ""), ("all", _("All frames, as a new sequence"), "")],
        )
        self.showDevices(None)
        for combo, name in self._combos():
            combo.connect("currentIndexChanged(int)", lambda index, c=combo, n=name: self._onChosen(c, n))
        self.reference = ReferencePart(ui)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.previewButton.connect("clicked(bool)", self.onPreview)
        logic.onCatalogue.append(self.showCatalogue)
        logic.onDevices.append(self.showDevices)
        self.showCatalogue(logic.catalogue)

    def _combos(self):
        ui = self.ui
        return [
            (ui.modelComboBox, "model"),
            (ui.windowComboBox, "window"),
            (ui.fidelityComboBox, "fidelity"),
            (ui.framesComboBox, "frames"),
            (ui.deviceComboBox, "device"),
        ]

    #
    # Scene and parameters
    #

    def fitTables(self):
        pass  # it has none

    def setParameterNode(self, parameters):
        self._parameters = parameters
        self.reference.setParameterNode(parameters)
        self.update()

    def sceneClosing(self):
        """The nodes are about to go: stop what uses them, without a word."""
        for job in (self._job, self._previewJob):
            if job is not None:
                job.abandon()
        self._job = self._previewJob = None
        self.reference.stop()
        self._watchScene(False)
        self._idle("")
        self.ui.previewWidget.visible = False

    cleanup = sceneClosing

    def update(self):
        """Show the parameters, and whether work can start."""
        parameters = self._parameters
        if parameters is None:
            return
        for combo, name in self._combos():
            chooseKey(combo, getattr(parameters, name))
        isRange = parameters.window == "range"
        self.ui.windowRangeWidget.visible = isRange
        self.ui.windowRangeLabel.visible = isRange
        inSequence = coloring.sequenceOf(parameters.inputVolume)[1] is not None
        self.ui.framesComboBox.visible = inSequence
        self.ui.framesLabel.visible = inSequence
        self._showModel()
        self.reference.update()
        self._updateButtons()

    def _onChosen(self, combo, name):
        if self._parameters is not None and combo.currentData is not None:
            setattr(self._parameters, name, combo.currentData)

    def whyNot(self):
        """What keeps the work from starting, or an empty text."""
        parameters = self._parameters
        if parameters is None or parameters.inputVolume is None:
            return _("Load or choose a gray volume first.")
        image = parameters.inputVolume.GetImageData()
        if image is None or image.GetNumberOfPoints() == 0:
            return _("The input volume holds no voxels.")
        if parameters.window == "range" and parameters.windowLow >= parameters.windowHigh:
            return _("The low end of the window must lie below the high end.")
        if self.reference.whyNot():
            return self.reference.whyNot()
        return compat.reasonNotToRun(palette=not parameters.model or parameters.model.startswith("palette:"))

    def _updateButtons(self):
        reason = self.whyNot()
        running = self._job is not None
        apply, preview = self.ui.applyButton, self.ui.previewButton
        apply.text = _("&Cancel") if running else _("&Apply")
        apply.toolTip = (
            _("Stop colouring; the scene stays as it was.") if running else reason or _("Colour the volume.")
        )
        apply.enabled = running or not reason
        previewing = self._previewJob is not None
        preview.text = _("Stop &preview") if previewing else _("&Preview slice")
        preview.toolTip = (
            _("Stop colouring the slice.")
            if previewing
            else _("Colours only the slice shown in the red view, so that you can judge before colouring the volume.")
        )
        preview.enabled = previewing or (not running and not reason)
        for widget in (self.ui.inputSelector, self.ui.labelsSelector, self.ui.outputSelector, self.ui.modelComboBox):
            widget.enabled = not running

    #
    # Models and devices
    #

    def showCatalogue(self, catalogue):
        entries = [("", _("Best for this scan"), _("The best installed model for this kind of scan, else a palette."))]
        entries += [
            ("{kind}:{name}".format(**model), self._modelTitle(model), model.get("description", ""))
            for model in catalogue or []
        ]
        icons = [pictures.iconOf(model) for model in [None, *(catalogue or [])]]
        chosen = self._parameters.model if self._parameters is not None else None
        fillCombo(self.ui.modelComboBox, entries, chosen, icons)
        self._showModel()

    @staticmethod
    def _modelTitle(model):
        kind = {"palette": _("Palette"), "bundle": _("Model"), "exemplar": _("Reference picture")}.get(
            model["kind"], ""
        )
        return "{}: {}".format(kind, model.get("title") or model["name"])

    def _showModel(self):
        model = self.logic.model(self.ui.modelComboBox.currentData or "")
        label, thumbnail = self.ui.modelDescriptionLabel, self.ui.modelThumbnailLabel
        if model is None:
            label.text = _("Chooses by the kind of scan. What was used is written on the result.")
            thumbnail.visible = False
            return
        about = [model.get("description", "")]
        if model.get("modality"):
            about.append(_("For {modality}.").format(modality=model["modality"]))
        if model.get("problem"):
            about = [_("Can't be used: {reason}").format(reason=model["problem"])]
        label.text = " ".join(filter(None, about))
        thumbnail.pixmap = pictures.pictureOf(model).scaled(
            CARD_SIZE, CARD_SIZE, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation
        )
        thumbnail.visible = True

    def showDevices(self, devices):
        entries = [
            ("auto", _("Automatic"), _("The graphics card if there is one and the model can use it, else the CPU.")),
            ("cpu", _("CPU"), ""),
        ]
        for device in devices or []:
            if device["name"] != "cpu":
                text = _("{name} ({free} of {total} free)").format(
                    name=device["title"], free=bytesText(device["free"]), total=bytesText(device["total"])
                )
                entries.append((device["name"], text, device["name"]))
        fillCombo(self.ui.deviceComboBox, entries, self._parameters.device if self._parameters is not None else None)

    #
    # Work
    #

    def _request(self):
        parameters = self._parameters
        request = coloring.Request(
            parameters.inputVolume,
            parameters.labels,
            parameters.model,
            parameters.window,
            (parameters.windowLow, parameters.windowHigh),
            parameters.fidelity,
            parameters.device,
            parameters.reference,
            parameters.referencePicture,
        )
        request.onReference = self.reference.show
        return request

    def onApply(self):
        if self._job is not None:
            self.ui.applyButton.enabled = False
            self.ui.statusLabel.text = _("Stopping...")
            self._job.cancel()
            return
        if self.whyNot():
            return
        if self._previewJob is not None:
            self._previewJob.abandon()
            self._previewFinished()
        parameters = self._parameters
        callbacks = {"onProgress": self._onProgress, "onDone": self._onDone, "onFailed": self._onFailed}
        try:
            self.logic.ensureDependencies(parameters.model)
            request = self._request()
            allFrames = parameters.frames == "all" and coloring.sequenceOf(parameters.inputVolume)[1] is not None
            self._started = time.monotonic()
            self.ui.progressBar.visible = True
            self._watchScene(True)
            if allFrames:
                self._job = coloring.FrameJobs(request, **callbacks).start()
            else:
                self._job = coloring.colorize(request, parameters.outputVolume, **callbacks)
        except Exception as error:
            logging.debug("MedColorize: colouring did not start", exc_info=error)
            self._onFailed(Failure(type(error).__name__, str(error)))
            return
        self._updateButtons()

    def _onProgress(self, event):
        prefix = ""
        if isinstance(self._job, coloring.FrameJobs):
            prefix = _("Frame {number} of {count}. ").format(number=self._job.frame[0], count=self._job.frame[1])
        showProgress(self.ui.progressBar, self.ui.statusLabel, self._timeLeft, event, prefix)

    def _onDone(self, pair):
        slices, volume3D = pair
        self._job = None
        self._watchScene(False)
        done = _("Done: {name}, with {model}, in {seconds:.1f} s.").format(
            name=slices.GetName(), model=modelOf(slices), seconds=time.monotonic() - self._started
        )
        self._idle("\n".join(filter(None, (done, slices.GetAttribute(coloring.NOTES)))))
        self._onColored(slices, volume3D, self._parameters.showIn3D)

    def _onFailed(self, failure):
        self._job = None
        self._watchScene(False)
        self._idle(failure.text)
        self._report(failure)

    def _report(self, failure):
        if failure.cancelled:
            return
        if failure.details:
            logging.debug("MedColorize worker said:\n" + failure.details)
        slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

    def _idle(self, text):
        self.ui.progressBar.visible = False
        self.ui.statusLabel.text = text
        self._updateButtons()

    def _watchScene(self, on):
        """While work runs: an input that is removed ends it."""
        for tag in self._sceneTags:
            slicer.mrmlScene.RemoveObserver(tag)
        self._sceneTags = []
        if on:

            @vtk.calldata_type(vtk.VTK_OBJECT)
            def removed(_scene, _event, node):
                if self._job is not None and node in (self._parameters.inputVolume, self._parameters.labels):
                    self._job.cancel()

            self._sceneTags = [slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, removed)]

    #
    # Preview
    #

    def onPreview(self):
        if self._previewJob is not None:
            self.ui.previewButton.enabled = False
            self._previewJob.cancel()
            return
        if self.whyNot() or self._job is not None:
            return
        try:
            self.logic.ensureDependencies(self._parameters.model)
            self.ui.progressBar.visible = True
            self._previewJob = coloring.preview(
                self._request(),
                currentSlice(self._parameters.inputVolume),
                self._takePictures,
                self._onProgress,
                self._onPreviewed,
                self._onPreviewFailed,
            )
        except Exception as error:
            logging.debug("MedColorize: the preview did not start", exc_info=error)
            self._onPreviewFailed(Failure(type(error).__name__, str(error)))
            return
        self._updateButtons()

    def _takePictures(self, result, folder):
        if result.get("reference"):
            self.reference.show(result["reference"], folder)
        return result, qt.QPixmap(str(folder / result["gray"])), qt.QPixmap(str(folder / result["color"]))

    def _onPreviewed(self, value):
        result, gray, color = value
        width = max(80, self.ui.previewWidget.parent().width // 2 - 24)
        down, across = result["spacing"]
        size = qt.QSize(
            round(gray.width() * across / min(down, across)), round(gray.height() * down / min(down, across))
        )
        for label, picture in ((self.ui.previewGrayLabel, gray), (self.ui.previewColorLabel, color)):
            square = picture.scaled(size, qt.Qt.IgnoreAspectRatio, qt.Qt.SmoothTransformation)
            label.pixmap = square.scaled(width, PREVIEW_HEIGHT, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
        self.ui.previewCaptionLabel.text = _("Slice {number}, window {low:g} to {high:g}. Synthetic colour.").format(
            number=result["slice"], low=result["window"][0], high=result["window"][1]
        )
        self.ui.previewWidget.visible = True
        self._previewFinished()

    def _onPreviewFailed(self, failure):
        self._previewFinished()
        self.ui.statusLabel.text = failure.text
        self._report(failure)

    def _previewFinished(self):
        self._previewJob = None
        self._idle("")


def currentSlice(volumeNode):
    """The slice (K) of the volume in the middle of the red view; the middle one where there is no view."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget("Red") if manager is not None else None
    count = volumeNode.GetImageData().GetDimensions()[2]
    if widget is None:
        return count // 2
    sliceToRAS = widget.mrmlSliceNode().GetSliceToRAS()
    center = [sliceToRAS.GetElement(row, 3) for row in range(3)]
    transform = volumeNode.GetParentTransformNode()
    if transform is not None:
        toLocal = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, transform, toLocal)
        center = toLocal.TransformPoint(center)
    rasToIJK = vtk.vtkMatrix4x4()
    volumeNode.GetRASToIJKMatrix(rasToIJK)
    k = int(round(rasToIJK.MultiplyPoint([*center, 1.0])[2]))
    return k if 0 <= k < count else count // 2


def modelOf(node):
    """What coloured a node, as its provenance tells."""
    about = json.loads(node.GetAttribute("MedColorize.Provenance") or "{}")
    return about.get("model") or about.get("method") or "?"
