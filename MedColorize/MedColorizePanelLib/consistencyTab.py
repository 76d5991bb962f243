"""The Consistency tab: how steady the colour is from slice to slice, and whether the gray signal was kept."""

import json
import logging
import os
import shutil
import tempfile

import qt
import slicer

from . import charts, process, rendering
from .compat import reasonNotToRun
from .compat import tr as _
from .jobs import Failure, Job
from .uncertaintyPart import UncertaintyPart
from .widgets import TimeLeft, fitHeight, showProgress

LIGHTS = {"green": "#2E8B57", "amber": "#C77700", "red": "#C0392B"}
PLANES = {"axial": lambda: _("axial"), "coronal": lambda: _("coronal"), "sagittal": lambda: _("sagittal")}


class ConsistencyTab:
    """Measures in the background; the report lies in a temporary folder until it is saved."""

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self._parameters = None
        self._job = None
        self._report = None
        self._folder = None
        self._rows = []
        self._timeLeft = TimeLeft()
        ui.measureProgressBar.visible = False
        ui.outlierTable.setHorizontalHeaderLabels([_("Slice"), _("Plane"), _("What stands out")])
        ui.outlierTable.verticalHeader().hide()
        ui.outlierTable.horizontalHeader().setStretchLastSection(True)
        for column in (0, 1):
            ui.outlierTable.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        ui.measureButton.connect("clicked(bool)", self.onMeasure)
        ui.showTableButton.connect("clicked(bool)", self.onShowTable)
        ui.showPlotButton.connect("clicked(bool)", self.onShowPlot)
        ui.saveReportButton.connect("clicked(bool)", self.onSave)
        ui.outlierTable.connect("itemSelectionChanged()", self.onOutlier)
        self.uncertainty = UncertaintyPart(ui, logic)
        self._showReport(None)

    def fitTables(self):
        fitHeight(self.ui.outlierTable, 5)

    def setParameterNode(self, parameters):
        self._parameters = parameters
        self.uncertainty.setParameterNode(parameters)
        self.update()

    def sceneClosing(self):
        self.uncertainty.stop()
        if self._job is not None:
            self._job.abandon()
        self._finish("")
        self._showReport(None)
        self._forget()

    cleanup = sceneClosing

    def _forget(self):
        if self._folder is not None:
            process.removeFolder(self._folder, wait=True)
        self._folder = None

    def _whyNot(self):
        parameters = self._parameters
        if parameters is None or parameters.measuredVolume is None:
            return _("Choose a coloured volume first.")
        if parameters.measuredGray is None:
            return _("Choose the gray volume that it was made from.")
        return reasonNotToRun()

    def update(self):
        reason = self._whyNot()
        button = self.ui.measureButton
        button.text = _("&Cancel") if self._job is not None else _("&Measure")
        button.enabled = self._job is not None or not reason
        button.toolTip = reason or _("Slice-to-slice consistency of the colour, and how well the gray signal was kept.")
        self.uncertainty.update()

    def onMeasure(self):
        if self._job is not None:
            self._job.cancel()
            return
        if self._whyNot():
            return
        from MedColorizeLib.app import protocol
        from MedColorizeLib.imaging.volume import ColorVolume
        from MedColorizeLib.mrml import geometry, nodes

        try:
            node = self._parameters.measuredVolume
            if rendering.channels(node) not in (3, 4):
                raise ValueError(_("“{name}” is not a coloured volume.").format(name=node.GetName()))
            provenance = json.loads(node.GetAttribute("MedColorize.Provenance") or "{}")
            color = ColorVolume(nodes.array_from_node(node), geometry.read_affine(node), provenance)
            gray = nodes.volume_from_node(self._parameters.measuredGray, copy=False)
            self._forget()
            self._folder = tempfile.mkdtemp(prefix="MedColorize-report-", dir=slicer.app.temporaryPath)
            content = {
                "color": protocol.describe(color, "color.npy"),
                "volume": protocol.describe(gray, "gray.npy"),
                "directory": os.path.join(self._folder, "report"),
            }
            self.ui.measureProgressBar.visible = True
            arrays = {"color.npy": color.array, "gray.npy": gray.array}
            self._job = Job("report", content, arrays, None, self._onProgress, self._onMeasured, self._onFailed).start()
        except Exception as error:
            logging.debug("MedColorize: measuring did not start", exc_info=error)
            self._onFailed(Failure(type(error).__name__, str(error)))
            return
        self.update()

    def _onProgress(self, event):
        showProgress(self.ui.measureProgressBar, self.ui.measureStatusLabel, self._timeLeft, event)

    def _onMeasured(self, result):
        with open(os.path.join(result["directory"], "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self._finish("")
        self._showReport(report, result["summary"])

    def _onFailed(self, failure):
        self._finish(failure.text)
        if not failure.cancelled:
            slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

    def _finish(self, text):
        self._job = None
        self.ui.measureProgressBar.visible = False
        self.ui.measureStatusLabel.text = text
        self.update()

    #
    # The report
    #

    def _showReport(self, report, summary=None):
        self._report, self._reportNodes, ui = report, None, self.ui
        for button in (ui.showTableButton, ui.showPlotButton, ui.saveReportButton):
            button.enabled = report is not None
        self._rows = []
        if report is not None:
            lines = ["<b>{}</b>".format(_plain(summary["verdict"])), "<table cellspacing='4'>"]
            for grade in summary["grades"].values():
                value = "-" if grade["value"] is None else "{:.3g} {}".format(grade["value"], grade["unit"])
                lines.append(
                    "<tr><td><font color='{}'>&#9679;</font></td><td>{}</td><td align='right'>{}</td></tr>".format(
                        LIGHTS.get(grade["light"], "#808080"), _plain(grade["title"]), _plain(value)
                    )
                )
            ui.measureStatusLabel.text = "".join(lines) + "</table>"
            for direction in report["consistency"]:
                for outlier in direction["outliers"]:
                    self._rows.append((direction["axis"], outlier["index"], direction["plane"], outlier["reasons"]))
        ui.outlierTable.rowCount = len(self._rows)
        for row, (_axis, index, plane, reasons) in enumerate(self._rows):
            texts = (str(index), PLANES[plane]() if plane in PLANES else plane, " ".join(reasons))
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                ui.outlierTable.setItem(row, column, item)
        ui.outlierSection.visible = bool(self._rows)
        fitHeight(ui.outlierTable, 5)

    def onOutlier(self):
        row = self.ui.outlierTable.currentRow()
        node = self._parameters.measuredVolume if self._parameters is not None else None
        if 0 <= row < len(self._rows) and node is not None:
            axis, index = self._rows[row][:2]
            rendering.jumpTo(node, axis, index)

    def _nodes(self):
        """The report's tables and charts in the scene, made when they are first asked for."""
        from MedColorizeLib.mrml import tables

        if self._reportNodes is None or self._reportNodes.slices.GetScene() is None:
            name = _("{name}: report").format(name=self._parameters.measuredVolume.GetName())
            self._reportNodes = tables.report_nodes(slicer.mrmlScene, self._report, name)
        return self._reportNodes

    def onShowTable(self):
        with slicer.util.tryWithErrorDisplay(_("The table could not be made.")):
            charts.showTable(self._nodes().slices)

    def onShowPlot(self):
        with slicer.util.tryWithErrorDisplay(_("The plot could not be made.")):
            charts.showChart(self._nodes().charts[0])

    def onSave(self):
        parent = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Where should the report folder go?"))
        if not parent or self._folder is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The report could not be saved.")):
            target = os.path.join(parent, "MedColorize report")
            number = 1
            while os.path.exists(target):
                number += 1
                target = os.path.join(parent, f"MedColorize report {number}")
            shutil.copytree(os.path.join(self._folder, "report"), target)
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(os.path.join(target, "report.html")))


def _plain(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;")
