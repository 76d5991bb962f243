"""The Train tab: a run in the background, its losses and sample pictures as they come, and the model at the end."""

import logging
import os
import re
import time
from pathlib import Path

import qt
import slicer

from . import charts, process, sceneImages
from .compat import PackagesDeclined, reasonNotToRun
from .compat import tr as _
from .jobs import Failure, Job
from .widgets import TimeLeft, fillCombo, fitHeight, lasting, showProgress

LOOK_MILLISECONDS = 2000
KEPT = 5000
GRACE = 60000  # milliseconds: a step and its checkpoint may take long, and are worth waiting for
SAMPLE_HEIGHT = 220
DEFAULT_RECIPE = "colormedgan"
NO_LOSS = ("step", "steps_per_second", "seconds_left", "learning_rate")


class TrainTab:
    """A training does not belong to a scene: closing the scene lets it go on."""

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self._job = None
        self._history = {}
        self._lastStep = 0
        self._drawn = 0.0
        self._sample = None
        self._run = ""
        self._timeLeft = TimeLeft()
        self._timer = qt.QTimer()
        self._timer.interval = LOOK_MILLISECONDS
        self._timer.connect("timeout()", self._look)
        ui.trainProgressBar.visible = False
        ui.lossTable.visible = False
        ui.samplePictureLabel.visible = False
        ui.showLossPlotButton.enabled = False
        ui.lossTable.setHorizontalHeaderLabels([_("Loss"), _("Now"), _("Mean of 50")])
        ui.lossTable.verticalHeader().hide()
        ui.lossTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2):
            ui.lossTable.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        ui.trainButton.connect("clicked(bool)", self.onTrain)
        ui.exportButton.connect("clicked(bool)", self.onExport)
        ui.showLossPlotButton.connect("clicked(bool)", self.onShowPlot)
        for path in (ui.trainGrayPath, ui.trainColorPath, ui.trainRunPath):
            path.connect("currentPathChanged(QString)", lambda _path: self.update())
        for combo, _path in self._choices():
            combo.connect("checkedNodesChanged()", self.update)
        logic.onCatalogue.append(lambda _catalogue: self._showRecipes())
        self._showRecipes()
        self.update()

    def fitTables(self):
        fitHeight(self.ui.lossTable, 6)

    def setParameterNode(self, parameters):
        self.update()

    def sceneClosing(self):
        pass

    def cleanup(self):
        self._timer.stop()
        if self._job is not None:
            self._job.abandon()
            self._forgetVolumes()
        self._job = None

    def _forgetVolumes(self):
        """The worker removes the volumes of the scene that it trained on; one that was killed could not."""
        from MedColorizeLib.app.tasks_scene import scene_folder

        if self._run:
            process.removeFolder(scene_folder(Path(self._run)), wait=True)
        self._run = ""

    def _showRecipes(self):
        combo = self.ui.trainRecipeComboBox
        entries = [(recipe["name"], recipe["title"], recipe["description"]) for recipe in self.logic.recipes]
        first = combo.count == 0
        fillCombo(combo, entries, DEFAULT_RECIPE if first else None)

    def _choices(self):
        """Where volumes of the scene are chosen, and the folders that they stand in for."""
        ui = self.ui
        return (
            (ui.trainGrayNodes, ui.trainGrayPath),
            (ui.trainColorNodes, ui.trainColorPath),
            (ui.trainLabelsNodes, ui.trainLabelsPath),
        )

    def _resumable(self):
        return os.path.isfile(os.path.join(self.ui.trainRunPath.currentPath or "", "recipe.toml"))

    def _whyNot(self):
        ui = self.ui
        if not ui.trainRunPath.currentPath:
            return _("Choose a run folder: checkpoints and pictures go there.")
        if not ui.trainGrayPath.currentPath and not ui.trainGrayNodes.checkedNodes():
            return _("Choose the folder of gray images, or gray volumes of the scene.")
        if not ui.trainRecipeComboBox.currentData:
            return _("Choose a recipe.")
        return reasonNotToRun()

    def update(self):
        ui, reason, running = self.ui, self._whyNot(), self._job is not None
        ui.trainButton.text = _("&Stop") if running else _("Resu&me") if self._resumable() else _("&Start")
        ui.trainButton.enabled = running or not reason
        ui.trainButton.toolTip = (
            _("Stops at the next step; the run can be resumed.") if running else reason or _("Train in the background.")
        )
        ui.exportButton.enabled = not running and self._resumable()
        for widget in (ui.trainRecipeComboBox, ui.trainRunPath):
            widget.enabled = not running
        for nodes, path in self._choices():
            nodes.enabled = not running
            path.enabled = not running and not nodes.checkedNodes()  # they stand in for the folder

    #
    # Training
    #

    def onTrain(self):
        if self._job is not None:
            self.ui.trainStatusLabel.text = _("Stopping; the last checkpoint is kept...")
            self._job.cancel()
            return
        if self._whyNot():
            return
        try:
            self.logic.ensureDependencies("bundle:")
        except PackagesDeclined as declined:
            self.ui.trainStatusLabel.text = str(declined)
            return
        ui = self.ui
        grays, colors, labels = (list(nodes.checkedNodes()) for nodes, _path in self._choices())
        try:
            scene, arrays = sceneImages.request(grays, colors, labels)
        except Exception as error:
            self._onFailed(Failure(type(error).__name__, str(error)))
            return
        content = {
            **scene,
            "recipe": ui.trainRecipeComboBox.currentData,
            "gray": "" if grays else ui.trainGrayPath.currentPath,
            "color": "" if colors else ui.trainColorPath.currentPath,
            "labels": "" if labels else ui.trainLabelsPath.currentPath,
            "run": ui.trainRunPath.currentPath,
            "resume": self._resumable(),
            "device": "auto",
            "changes": self.logic.recipeChanges,
        }
        self._history, self._lastStep, self._sample = {}, 0, None
        ui.trainProgressBar.visible = True
        self._run = content["run"]
        self._job = Job(
            "train", content, arrays, None, self._onProgress, self._onTrained, self._onFailed, GRACE
        ).start()
        self._timer.start()
        self.update()

    def _onProgress(self, event):
        figures = {name: value for name, value in (event.get("figures") or {}).items() if value is not None}
        if figures:
            step = int(event.get("done", 0))
            row = self._history.setdefault("step", [])
            row.append(step)
            for name, value in figures.items():
                column = self._history.setdefault(name, [None] * (len(row) - 1))
                column.append(value)
            for column in self._history.values():
                column.extend([None] * (len(row) - len(column)))
                del column[:-KEPT]
        now = time.monotonic()
        if now - self._drawn > 0.2 or event.get("done") == event.get("total"):
            self._drawn = now
            showProgress(self.ui.trainProgressBar, self.ui.trainStatusLabel, self._timeLeft, event)
            if figures.get("seconds_left"):
                self.ui.trainStatusLabel.text = _("Training, step {step} of {total}, {left}").format(
                    step=event["done"], total=event["total"], left=lasting(figures["seconds_left"])
                )
            self._showLosses()

    def _showLosses(self):
        names = [name for name in self._history if name not in NO_LOSS]
        table = self.ui.lossTable
        table.visible = bool(names)
        self.ui.showLossPlotButton.enabled = bool(names)
        if table.rowCount != len(names):
            table.rowCount = len(names)
            fitHeight(table, 6)
        for row, name in enumerate(names):
            known = [value for value in self._history[name][-50:] if value is not None]
            texts = (
                (name, *(f"{value:.4g}" for value in (known[-1], sum(known) / len(known)))) if known else (name, "", "")
            )
            for column, text in enumerate(texts):
                item = table.item(row, column)
                if item is None:
                    table.setItem(row, column, qt.QTableWidgetItem(text))
                else:
                    item.setText(text)

    def _look(self):
        """Show the newest sample picture of the run."""
        folder = os.path.join(self.ui.trainRunPath.currentPath, "samples")
        try:
            names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"\d+\.png", name))
        except OSError:
            return
        if names and names[-1] != self._sample:
            picture = qt.QPixmap(os.path.join(folder, names[-1]))
            if not picture.isNull():
                self._sample = names[-1]
                width = max(100, self.ui.trainProgressBar.parent().width - 24)
                shown = picture.scaled(width, SAMPLE_HEIGHT, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
                self.ui.samplePictureLabel.pixmap = shown
                self.ui.samplePictureLabel.setFixedHeight(shown.height())
                self.ui.samplePictureLabel.toolTip = _("Samples of step {step}").format(step=int(names[-1][:-4]))
                self.ui.samplePictureLabel.visible = True

    def onShowPlot(self):
        names = [name for name in self._history if name not in NO_LOSS]
        from MedColorizeLib.mrml import tables

        columns = {name: list(self._history[name]) for name in ["step", *names]}
        charts.showChart(tables.curves_node(slicer.mrmlScene, _("Training losses"), columns, "step", _("loss")))

    def _onTrained(self, result):
        self._end(_("Trained to step {step}. Next: export to models.").format(step=result["step"]))

    def _onFailed(self, failure):
        if failure.cancelled:
            self._end(_("Stopped. The run can be resumed."))
            return
        self._end(failure.text)
        logging.debug(failure.details)
        slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

    def _end(self, text):
        self._job = None
        self._timer.stop()
        self._forgetVolumes()
        self._look()
        self.ui.trainProgressBar.visible = False
        self.ui.trainStatusLabel.text = text
        self.update()

    #
    # Export
    #

    def onExport(self):
        run = self.ui.trainRunPath.currentPath
        name = re.sub(r"[^a-z0-9-]+", "-", os.path.basename(os.path.normpath(run)).lower()).strip("-") or "model"

        def done(result):
            self.logic.refreshCatalogue()
            self._end(_("The model “{name}” is in the list.").format(name=result["name"]))

        def failed(failure):
            self._end(failure.text)
            if not failure.cancelled:
                slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

        self._job = Job("export", {"run": run, "name": name}, onDone=done, onFailed=failed).start()
        self.ui.trainStatusLabel.text = _("Exporting...")
        self.update()
