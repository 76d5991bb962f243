"""What the host offers of each class: only what the panel needs, and only what exists in the application.

`CLASSES[name]` has `properties`, `slots` and `signals`, which are checked against the names read in a running Slicer
(`slicer-api.json` of the knowledge folder), and `methods`: C++ calls that PythonQt wraps but that Qt's meta object, and
so that file, does not list. Each of those is in the Qt 5 (or ctk) documentation at `REFERENCES`.
"""

from __future__ import annotations

QT = "https://doc.qt.io/archives/qt-5.15/{}.html"
CTK = "https://github.com/commontk/CTK/blob/master/Libs/Widgets/{}.h"
MRML = "https://github.com/Slicer/Slicer/blob/main/Libs/MRML/Widgets/{}.h"
BASE = "https://github.com/Slicer/Slicer/blob/main/Base/QTGUI/{}.h"

OBJECT = ("objectName", "setObjectName", "property", "setProperty", "children", "parent", "deleteLater", "blockSignals",
          "findChild", "findChildren", "setParent", "isWidgetType", "metaObject", "inherits", "signalsBlocked")  # fmt: skip  # noqa: E501
"""QObject's own calls, which every wrapped object has."""

COMMON_SIGNALS = ("destroyed()",)


def _class(properties: str = "", slots: str = "", signals: str = "", methods: str = "") -> dict[str, list[str]]:
    return {
        "properties": properties.split(),
        "slots": slots.split(),
        "signals": signals.split(),
        "methods": methods.split(),
    }


_FRAME = "frameShape"
_BUTTON = "text icon checkable checked down shortcut"
_VIEW = "alternatingRowColors selectionMode selectionBehavior editTriggers showGrid iconSize"

CLASSES: dict[str, dict[str, list[str]]] = {
    "qt.QWidget": _class(
        "enabled visible toolTip font palette width height size minimumWidth minimumHeight maximumHeight maximumWidth "
        "windowTitle sizeHint styleSheet focus accessibleName objectName geometry minimumSizeHint",
        "setEnabled setVisible show hide setFocus update repaint close deleteLater raise",
        "",
        "layout setLayout setToolTip window isVisibleTo setFixedWidth setFixedHeight setFixedSize setMinimumWidth setMaximumHeight "  # noqa: E501
        "setSizePolicy parentWidget grab resize setAccessibleName",
    ),
    "qt.QLabel": _class(
        f"{_FRAME} text pixmap wordWrap alignment textFormat openExternalLinks",
        "setText setPixmap clear",
        "linkActivated(QString)",
        "setAlignment setWordWrap",
    ),
    "qt.QPushButton": _class(
        _BUTTON, "click toggle setChecked", "clicked(bool) clicked() toggled(bool)", "setMenu setIcon"
    ),
    "qt.QToolButton": _class(_BUTTON, "click", "clicked(bool) clicked()", "setMenu setIcon"),
    "qt.QCheckBox": _class(_BUTTON, "click setChecked", "clicked(bool) toggled(bool)", ""),
    "qt.QComboBox": _class(
        "count currentText currentIndex currentData iconSize",
        "clear setCurrentIndex setCurrentText",
        "currentIndexChanged(int) activated(int)",
        "addItem itemData setItemData itemText itemIcon findData findText setItemText setItemIcon",
    ),
    "qt.QLineEdit": _class(
        "text readOnly placeholderText", "setText clear", "textChanged(QString) editingFinished()", ""
    ),
    "qt.QSpinBox": _class("value minimum maximum singleStep suffix", "setValue", "valueChanged(int)", "setRange"),
    "qt.QDoubleSpinBox": _class(
        "value minimum maximum decimals singleStep suffix", "setValue", "valueChanged(double)", "setRange"
    ),
    "qt.QProgressBar": _class(
        "minimum maximum value textVisible format", "reset setValue setRange", "valueChanged(int)", ""
    ),
    "qt.QTabWidget": _class(
        "currentIndex count", "setCurrentIndex setCurrentWidget", "currentChanged(int)", "widget indexOf tabText"
    ),
    "qt.QTextBrowser": _class(
        "html markdown plainText openExternalLinks", "setHtml setPlainText clear setText", "", "setOpenExternalLinks"
    ),
    "qt.QTableWidget": _class(
        f"{_VIEW} rowCount columnCount horizontalScrollBarPolicy verticalScrollBarPolicy",
        "clearContents clear selectRow resizeColumnsToContents resizeRowsToContents resizeColumnToContents clearSelection",  # noqa: E501
        "itemSelectionChanged() cellClicked(int,int) cellActivated(int,int) currentCellChanged(int,int,int,int)",
        "setItem item currentRow setHorizontalHeaderLabels horizontalHeader verticalHeader setColumnWidth "
        "setRowCount setColumnCount setCellWidget rowHeight setCurrentCell",
    ),
    "qt.QHeaderView": _class("", "hide show setVisible", "", "setSectionResizeMode setStretchLastSection"),
    "qt.QTableWidgetItem": _class(
        "", "", "", "text setText setData data icon setIcon setToolTip setBackground row setFlags flags"
    ),
    "qt.QGroupBox": _class("title checkable checked", "", "toggled(bool)", ""),
    "qt.QScrollArea": _class("widgetResizable", "", "", "setWidget widget"),
    "qt.QVBoxLayout": _class("", "", "", "addWidget addLayout addStretch count itemAt removeItem setContentsMargins"),
    "qt.QHBoxLayout": _class("", "", "", "addWidget addLayout addStretch count itemAt removeItem setContentsMargins"),
    "qt.QFormLayout": _class("", "", "", "addRow count itemAt removeItem"),
    "qt.QTimer": _class("singleShot interval active", "start stop", "timeout()", ""),
    "qt.QProcess": _class(
        "",
        "terminate kill",
        "readyReadStandardOutput() readyReadStandardError() finished(int,QProcess::ExitStatus) finished(int) "
        "errorOccurred(QProcess::ProcessError)",
        "start setProcessEnvironment readAllStandardOutput readAllStandardError state write closeWriteChannel startDetached "  # noqa: E501
        "setWorkingDirectory exitCode exitStatus waitForFinished",
    ),
    "qt.QProcessEnvironment": _class("", "", "", "insert value contains remove systemEnvironment"),
    "qt.QSettings": _class("", "", "", "value setValue contains remove"),
    "qt.QPixmap": _class("", "", "", "scaled isNull width height save fill load size"),
    "qt.QImage": _class("", "", "", "isNull width height save load scaled"),
    "qt.QIcon": _class("", "", "", "isNull pixmap"),
    "qt.QColor": _class("", "", "", "name red green blue"),
    "qt.QBrush": _class("", "", "", ""),
    "qt.QSize": _class("", "", "", "width height"),
    "qt.QUrl": _class("", "", "", "fromLocalFile toString"),
    "qt.QDesktopServices": _class("", "", "", "openUrl"),
    "qt.QFileDialog": _class("", "", "", "getOpenFileName getSaveFileName getExistingDirectory"),
    "qt.QMessageBox": _class("text", "open", "", "setText setStandardButtons exec_"),
    "qt.QEventLoop": _class("", "quit", "", "exec_"),
    "qt.QFile": _class("", "", "", "exists open close readAll"),
    "qt.QApplication": _class("", "", "", "setOverrideCursor restoreOverrideCursor"),
    "ctk.ctkCollapsibleButton": _class(
        "text collapsed checked", "click", "contentsCollapsed(bool) clicked(bool) toggled(bool)", ""
    ),
    "ctk.ctkSliderWidget": _class(
        "value minimum maximum singleStep pageStep decimals suffix prefix",
        "",
        "valueChanged(double) valueIsChanging(double)",
        "",
    ),
    "ctk.ctkPathLineEdit": _class(
        "currentPath filters settingKey nameFilters showHistoryButton",
        "addCurrentPathToHistory",
        "currentPathChanged(QString)",
        "",
    ),
    "ctk.ctkSettingsPanel": _class("", "", "settingChanged(QString,QVariant)", "registerProperty"),
    "slicer.qMRMLWidget": _class("", "setMRMLScene", "mrmlSceneChanged(vtkMRMLScene*)", "mrmlScene"),
    "slicer.qMRMLNodeComboBox": _class(
        "nodeTypes showChildNodeTypes showHidden noneEnabled addEnabled removeEnabled renameEnabled editEnabled noneDisplay "  # noqa: E501
        "baseName selectNodeUponCreation currentNodeID",
        "setMRMLScene setCurrentNode setCurrentNodeID",
        "currentNodeChanged(vtkMRMLNode*) nodeAddedByUser(vtkMRMLNode*)",
        "currentNode addAttribute nodeCount mrmlScene",
    ),
    "slicer.qMRMLCheckableNodeComboBox": _class(
        "nodeTypes showChildNodeTypes showHidden noneEnabled addEnabled removeEnabled",
        "setMRMLScene check uncheck",
        "checkedNodesChanged()",
        "checkedNodes checkState setCheckState mrmlScene nodeCount",
    ),
    "slicer.qSlicerScriptedLoadableModuleWidget": _class(
        "isEntered", "setMRMLScene", "mrmlSceneChanged(vtkMRMLScene*)", "mrmlScene self reload layout"
    ),
}

SIGNALS: dict[str, list[str]] = {name: entry["signals"] for name, entry in CLASSES.items()}


def names_of(name: str) -> list[str]:
    """Every attribute that instances of a class have in the host."""
    entry = CLASSES[name]
    return [*entry["properties"], *entry["slots"], *entry["methods"], *OBJECT]


def reference_of(name: str) -> str:
    """Where the C++ calls of a class are documented."""
    room, _, short = name.partition(".")
    if room == "qt":
        return QT.format(short.lower())
    return (CTK if room == "ctk" else BASE if short.startswith("qSlicer") else MRML).format(short)
