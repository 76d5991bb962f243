"""MedColorize's page in the application settings."""

import ctk
import qt
import slicer

from .compat import PYTHON_SETTING
from .compat import tr as _


class MedColorizeSettingsPanel(ctk.ctkSettingsPanel):
    """One choice: which Python does the work."""

    def __init__(self, *arguments):
        ctk.ctkSettingsPanel.__init__(self, *arguments)
        layout = qt.QFormLayout()
        self.setLayout(layout)
        self.pythonPath = ctk.ctkPathLineEdit()
        self.pythonPath.toolTip = _(
            "Empty: the application's own Python. Otherwise a Python 3.11 or newer in which MedColorize's packages are "
            "installed, for instance one with its own PyTorch. Older applications need it for everything but palettes."
        )
        layout.addRow(_("Python for the work:"), self.pythonPath)
        note = qt.QLabel(
            _("Volumes stay on this computer: they are handed over in the application's temporary folder.")
        )
        note.wordWrap = True
        layout.addRow(note)
        self.registerProperty(
            PYTHON_SETTING, self.pythonPath, "currentPath", str(qt.SIGNAL("currentPathChanged(QString)"))
        )


def register():
    """Add the page, once."""
    dialog = slicer.app.settingsDialog()
    if dialog is None or getattr(slicer.modules, "MedColorizeSettings", None) is not None:
        return
    slicer.modules.MedColorizeSettings = MedColorizeSettingsPanel()
    dialog.addPanel("MedColorize", slicer.modules.MedColorizeSettings)
