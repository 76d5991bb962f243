"""The View tab: 3D, gray beside colour, legend, pictures."""

import json
import logging
import os
import tempfile

import qt
import slicer

from . import process, rendering
from .compat import tr as _
from .jobs import Failure, Job
from .widgets import chooseKey, fillCombo, fitHeight

FRAMES = 72
PRESETS = {
    "head-mr": lambda: _("Head MR with skin and scalp"),
    "brain-mr": lambda: _("Brain MR, skull stripped"),
    "ct-soft-tissue": lambda: _("CT, muscles and organs below the fat"),
    "ct-vessels": lambda: _("CT, contrast vessels, cartilage and bone"),
    "ct-bone": lambda: _("CT, bone"),
    "translucent": lambda: _("See through the outer tissue"),
    "plain": lambda: _("Anything else"),
}
"""What the library's presets are called, where translation tools find it."""


class ViewTab:
    """Works on any coloured volume node, made here or loaded from a file."""

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self._parameters = None
        self._job = None
        self._shown = None
        self._updating = False
        ui.opacitySlider.connect("valueChanged(double)", self._onOpacity)
        ui.thresholdSlider.connect("valueChanged(double)", self._onThreshold)
        ui.fadeSlider.connect("valueChanged(double)", self._onFade)
        ui.presetComboBox.connect("currentIndexChanged(int)", self._onPreset)
        ui.showIn3DButton.connect("clicked(bool)", self._onShowIn3D)
        ui.sideBySideButton.connect("clicked(bool)", self._onSideBySide)
        ui.screenshotButton.connect("clicked(bool)", self._onScreenshot)
        ui.turntableButton.connect("clicked(bool)", self._onTurntable)
        ui.legendTable.horizontalHeader().hide()
        ui.legendTable.verticalHeader().hide()
        ui.legendTable.horizontalHeader().setStretchLastSection(True)
        ui.legendTable.setColumnWidth(0, 44)
        logic.onCatalogue.append(lambda catalogue: self._showLegend())

    def fitTables(self):
        fitHeight(self.ui.legendTable, self.ui.legendTable.rowCount)

    def setParameterNode(self, parameters):
        self._parameters = parameters
        self.update()

    def sceneClosing(self):
        if self._job is not None:
            self._job.abandon()
        self._job = None
        self._shown = None
        rendering.unmarkViews()
        self._say("")

    cleanup = sceneClosing

    @property
    def node(self):
        return self._parameters.viewedVolume if self._parameters is not None else None

    def update(self):
        """Show the state of the chosen volume."""
        node = self.node
        if node is None and self._shown is None and not self._updating:
            self._enable(False)
        if node is self._shown and node is not None:
            return
        self._shown = node
        self._enable(node is not None)
        self._showLook()
        self._showLegend()

    def _enable(self, on):
        ui = self.ui
        for widget in (ui.showIn3DButton, ui.sideBySideButton, ui.fadeSlider):
            widget.enabled = on
        for widget in (
            ui.presetComboBox,
            ui.opacitySlider,
            ui.thresholdSlider,
            ui.screenshotButton,
            ui.turntableButton,
        ):
            widget.enabled = on and self._display() is not None

    def _display(self):
        """The volume rendering display node of the chosen volume, if it was shown in 3D here."""
        volume3D = rendering.volume3DOf(self.node)
        if volume3D is None:
            return None
        from MedColorizeLib.mrml import rendering as looks

        display = looks.display_of(volume3D)
        return display if display is not None and display.GetAttribute("MedColorize.Preset") else None

    def _showLook(self):
        """Put the rendering's look into the widgets."""
        display = self._display()
        self.ui.showIn3DButton.checked = display is not None and bool(display.GetVisibility())
        if display is None:
            return
        from MedColorizeLib.mrml import rendering as looks

        self._updating = True
        try:
            look = looks.look_of(display)
            if self.ui.presetComboBox.count == 0:
                fillCombo(self.ui.presetComboBox, [(name, title(), "") for name, title in PRESETS.items()])
            chooseKey(self.ui.presetComboBox, look.preset)
            self.ui.opacitySlider.value = look.opacity
            self.ui.thresholdSlider.value = looks.threshold_of(display)
        finally:
            self._updating = False

    #
    # 3D
    #

    def showIn3D(self, volume3D):
        """Show a volume in 3D; used after colouring, too."""
        try:
            rendering.show3D(volume3D)
        except Exception as error:
            self._fail(Failure(type(error).__name__, str(error)))
            return
        self._enable(True)
        self._showLook()
        self._say("")

    def _onShowIn3D(self):
        node = self.node
        if node is None or self._job is not None:
            return
        display = self._display()
        if display is not None and display.GetVisibility():
            display.SetVisibility(0)
            rendering.unmarkViews()
            self._showLook()
            return
        volume3D = rendering.volume3DOf(node)
        if volume3D is not None:
            self.showIn3D(volume3D)
            return
        try:
            self._job = rendering.make3D(node, self._onProgress, self._onMade3D, self._fail)
        except Exception as error:
            self._fail(Failure(type(error).__name__, str(error)))

    def _onMade3D(self, volume3D):
        self._job = None
        self.showIn3D(volume3D)

    def _onPreset(self, _index):
        if self._updating or self._display() is None:
            return
        from MedColorizeLib.mrml import rendering as looks

        looks.apply_look(self._display(), looks.Look(self.ui.presetComboBox.currentData, self.ui.opacitySlider.value))
        self._showLook()

    def _onOpacity(self, percent):
        if not self._updating and self._display() is not None:
            from MedColorizeLib.mrml import rendering as looks

            looks.set_opacity(self._display(), percent)

    def _onThreshold(self, percent):
        if not self._updating and self._display() is not None:
            from MedColorizeLib.mrml import rendering as looks

            looks.set_threshold(self._display(), percent)

    #
    # Slices and legend
    #

    def _onSideBySide(self):
        node = self.node
        if node is not None:
            gray = rendering.grayOf(node)
            rendering.showSideBySide(node, gray, self.ui.fadeSlider.value / 100)
            if gray is None:
                self._say(_("The gray volume it was made from is not in the scene: both views show the colours."))

    def _onFade(self, percent):
        if self.node is not None:
            rendering.setFade(self.node, percent / 100)

    def _showLegend(self):
        table = self.ui.legendTable
        node = self.node
        about = json.loads((node.GetAttribute("MedColorize.Provenance") if node is not None else None) or "{}")
        kind = "palette" if about.get("method") == "palette" else "bundle"
        model = self.logic.model("{}:{}".format(kind, about.get("model")))
        legend, seen = [], set()
        for name, rgb in model.get("legend", []) if model else []:
            if name not in seen:
                seen.add(name)
                legend.append((name, rgb))
        table.rowCount = len(legend)
        for row, (name, rgb) in enumerate(legend):
            swatch = qt.QTableWidgetItem("")
            swatch.setBackground(qt.QBrush(qt.QColor(*[int(round(value)) for value in rgb])))
            table.setItem(row, 0, swatch)
            table.setItem(row, 1, qt.QTableWidgetItem(name))
        table.visible = bool(legend)
        if legend:
            fitHeight(table, len(legend))
        if node is None:
            text = ""
        elif not about:
            text = _("This volume does not say how its colours were made.")
        else:
            text = _("Colours by {model}. Computed, not measured.").format(
                model=about.get("model") or about.get("method") or "?"
            )
        self.ui.legendNoteLabel.text = text

    #
    # Pictures
    #

    def _view(self):
        manager = slicer.app.layoutManager()
        return manager.threeDWidget(0).threeDView() if manager is not None and manager.threeDViewCount else None

    def _onScreenshot(self):
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the 3D view"), "MedColorize.png", _("Pictures (*.png)")
        )
        if not path or self._view() is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The picture could not be saved.")):
            import ScreenCapture

            ScreenCapture.ScreenCaptureLogic().captureImageFromView(self._view(), path)
            self._say(_("Saved: {path}").format(path=path))

    def _onTurntable(self):
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save a turntable"), "MedColorize.gif", _("Animations (*.gif *.mp4)")
        )
        if not path or self._view() is None or self._job is not None:
            return
        with slicer.util.tryWithErrorDisplay(_("The turntable could not be made.")):
            import ScreenCapture

            frames = tempfile.mkdtemp(prefix="MedColorize-frames-", dir=slicer.app.temporaryPath)
            capture = ScreenCapture.ScreenCaptureLogic()
            capture.capture3dViewRotation(
                self._view().mrmlViewNode(), -180, 180, FRAMES, ScreenCapture.AXIS_YAW, frames, "frame_%05d.png"
            )

            def done(result):
                process.removeFolder(frames)
                self._job = None
                self._say(_("Saved: {path}").format(path=result["path"]))

            def failed(failure):
                process.removeFolder(frames)
                self._fail(failure)

            content = {"frames": frames, "path": os.path.abspath(path), "frames_per_second": 20}
            self._job = Job("film", content, None, None, self._onProgress, done, failed).start()

    def _onProgress(self, event):
        self._say(_("Working..."))

    def _fail(self, failure):
        self._job = None
        self._showLook()
        self._say(failure.text)
        if not failure.cancelled:
            logging.debug(failure.details)
            slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

    def _say(self, text):
        self.ui.viewStatusLabel.text = text
        self.ui.viewStatusLabel.visible = bool(text)
