"""The Models tab: what is installed, where, and how large; importing and deleting."""

import os

import qt
import slicer

from . import pictures
from .compat import tr as _
from .jobs import Job
from .widgets import bytesText, fitHeight

ICON_SIZE = 40  # pixels
MOST_ROWS = 5  # before the table scrolls: the details need room, too


class ModelsTab:
    """Shows the logic's catalogue; changes are made by a worker, which verifies."""

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self._job = None
        self._shown = []
        table = ui.modelsTable
        table.setHorizontalHeaderLabels([_("Name"), _("Kind"), _("For"), _("Size")])
        table.verticalHeader().hide()
        table.iconSize = qt.QSize(ICON_SIZE, ICON_SIZE)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2, 3):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemSelectionChanged()", self._onSelected)
        ui.importButton.connect("clicked(bool)", self.onImport)
        ui.deleteButton.connect("clicked(bool)", self.onDelete)
        ui.refreshButton.connect("clicked(bool)", lambda: self.logic.refreshCatalogue())
        ui.openStoreButton.connect("clicked(bool)", self.onOpenStore)
        logic.onCatalogue.append(self.show)
        self.show(logic.catalogue)

    def fitTables(self):
        fitHeight(self.ui.modelsTable, MOST_ROWS)

    def setParameterNode(self, parameters):
        pass

    def update(self):
        pass

    def sceneClosing(self):
        pass  # models do not belong to a scene

    def cleanup(self):
        if self._job is not None:
            self._job.abandon()
        self._job = None

    def show(self, catalogue):
        """Fill the table."""
        table = self.ui.modelsTable
        chosen = self._chosen()
        self._shown = list(catalogue)
        table.rowCount = len(self._shown)
        kinds = {"palette": _("Palette"), "bundle": _("Model"), "exemplar": _("Reference")}
        for row, model in enumerate(self._shown):
            size = bytesText(model["bytes"]) if model.get("bytes") else ""
            texts = (model.get("title") or model["name"], kinds.get(model["kind"], ""), model.get("modality", ""), size)
            about = model.get("problem") or model.get("description") or ""
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem("\n".join(filter(None, (text, about))) if column == 0 else text)
                item.setToolTip(about or text)
                if column == 0:
                    item.setIcon(pictures.iconOf(model))
                table.setItem(row, column, item)
            if chosen is not None and model["name"] == chosen["name"] and model["kind"] == chosen["kind"]:
                table.selectRow(row)
        fitHeight(table, MOST_ROWS)
        total = sum(model.get("bytes", 0) for model in self._shown if model.get("own"))
        where, home = self.logic.store or "?", os.path.expanduser("~")
        if where.startswith(home + os.sep):
            where = "~" + where[len(home) :]
        self.ui.modelsStatusLabel.text = _("Your own models take {size} in {folder}.").format(
            size=bytesText(total), folder=where
        )
        self._onSelected()

    def _chosen(self):
        row = self.ui.modelsTable.currentRow()
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def _onSelected(self):
        model = self._chosen()
        self.ui.deleteButton.enabled = self._job is None and bool(model and model.get("own"))
        self.ui.deleteButton.toolTip = (
            _("Remove the chosen model from the disk.")
            if model is None or model.get("own")
            else _("It came with MedColorize and stays; only models that you added can be deleted.")
        )
        self.ui.importButton.enabled = self._job is None
        browser = self.ui.modelDetailsBrowser
        if model is not None and model.get("card") and not model.get("problem"):
            # Text of others: no HTML and no pictures from elsewhere.
            browser.markdown = model["card"].replace("<", "&lt;").replace("![", "[")
        else:
            browser.html = "" if model is None else self._details(model)

    def _details(self, model):
        parts = ["<h3>{}</h3>".format(_escaped(model.get("title") or model["name"]))]
        if model.get("problem"):
            parts.append("<p><b>{}</b> {}</p>".format(_("Can't be used:"), _escaped(model["problem"])))
        parts.append("<p>{}</p>".format(_escaped(model.get("description", ""))))
        swatches = "".join(
            "<td bgcolor='#{:02x}{:02x}{:02x}'>&nbsp;&nbsp;&nbsp;&nbsp;</td><td>{}&nbsp;&nbsp;</td>{}".format(
                *(round(value) for value in rgb), _escaped(name), "</tr><tr>" if number % 2 else ""
            )
            for number, (name, rgb) in enumerate(model.get("legend", []))
        )
        if swatches:
            parts.append(f"<table cellspacing='2'><tr>{swatches}</tr></table>")
        return "".join(parts)

    #
    # Changes
    #

    def onImport(self):
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Import a model"), "", _("Model bundles (*.zip);;All files (*)")
        )
        if path and self._job is None:
            self._start("add_model", {"path": path}, _("Checking the model..."), _("Added: {name}"))

    def onDelete(self):
        model = self._chosen()
        if model is None or not model.get("own") or self._job is not None:
            return
        question = _("Delete the model “{name}” from the disk? This can't be undone.").format(name=model["name"])
        if slicer.util.confirmOkCancelDisplay(question, windowTitle="MedColorize"):
            self._start("remove_model", {"name": model["name"]}, _("Deleting..."), _("Deleted: {name}"))

    def _start(self, task, content, busy, done):
        def succeeded(result):
            self._job = None
            self.logic.refreshCatalogue()
            self._onSelected()
            self.ui.modelsStatusLabel.text = done.format(name=result["name"])

        def failed(failure):
            self._job = None
            self._onSelected()
            self.ui.modelsStatusLabel.text = failure.text
            slicer.util.errorDisplay(failure.text, windowTitle="MedColorize", detailedText=failure.details)

        self._job = Job(task, content, onDone=succeeded, onFailed=failed).start()
        self._onSelected()
        self.ui.modelsStatusLabel.text = busy

    def onOpenStore(self):
        if self.logic.store:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self.logic.store))


def _escaped(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
