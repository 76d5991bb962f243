import logging
import os

import slicer

from MedColorizePanelLib import compat, dicomWork
from MedColorizePanelLib.compat import tr as _

compat.makeLibraryImportable()

try:
    from DICOMLib import DICOMLoadable, DICOMPlugin
except ImportError:  # an application that was built without DICOM: the module loads and offers nothing
    DICOMLoadable, DICOMPlugin = None, object


class MedColorizeDICOMPluginClass(DICOMPlugin):
    """Coloured volumes out as RGB Secondary Capture, and such series in again as coloured volumes.

    The core's scalar volume plugin offers itself for coloured volumes, too, but can't export colour: hence the higher
    confidence here.
    """

    def __init__(self):
        super().__init__()
        self.loadType = _("Coloured volume")

    #
    # Import
    #

    def examineForImport(self, fileLists):
        """Loadables for the series that MedColorize wrote."""
        return [self.examineFiles(files) for files in fileLists if files and self._isOurs(files[0])]

    @staticmethod
    def _isOurs(file):
        value = slicer.dicomDatabase.fileValue
        return value(file, "0008,0070") == "MedColorize" and value(file, "0028,0004") == "RGB"

    def examineFiles(self, files):
        loadable = DICOMLoadable()
        loadable.files = list(files)
        description = slicer.dicomDatabase.fileValue(files[0], "0008,103e") or _("Coloured volume")
        loadable.name = description
        loadable.tooltip = _("Coloured volume made by MedColorize: synthetic colour, not for diagnosis")
        loadable.selected = True
        loadable.confidence = 0.95
        return loadable

    def load(self, loadable):
        """The coloured volume's node, or None."""
        try:
            node = dicomWork.load(loadable.files, loadable.name)
        except Exception as error:
            logging.error(f"MedColorize: the coloured series can't be loaded: {error}")
            return None
        self.addSeriesInSubjectHierarchy(loadable, node)
        return node

    #
    # Export
    #

    def examineForExport(self, subjectHierarchyItemID):
        """One exportable for an 8-bit RGB(A) volume."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        node = hierarchy.GetItemDataNode(subjectHierarchyItemID)
        if not dicomWork.canExport(node):
            return []
        exportable = slicer.qSlicerDICOMExportable()
        exportable.name = self.loadType
        exportable.tooltip = _("RGB Secondary Capture that says in its header that the colour is synthetic")
        exportable.subjectHierarchyItemID = subjectHierarchyItemID
        exportable.pluginClass = self.__module__
        exportable.confidence = 0.8  # the core's plugin says 0.5 of these volumes
        exportable.setTag("SeriesDescription", _("Synthetic colour"))
        exportable.setTag("SeriesNumber", "9901")
        return [exportable]

    def export(self, exportables):
        """Write each exportable into its directory; an error text, or an empty one."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        for exportable in exportables:
            node = hierarchy.GetItemDataNode(exportable.subjectHierarchyItemID)
            if not dicomWork.canExport(node):
                return _("This item is not a coloured volume.")
            names = slicer.vtkMRMLSubjectHierarchyConstants
            tags = {
                "PatientName": exportable.tag(names.GetDICOMPatientNameTagName()),
                "PatientID": exportable.tag(names.GetDICOMPatientIDTagName()),
                "PatientBirthDate": exportable.tag(names.GetDICOMPatientBirthDateTagName()),
                "PatientSex": exportable.tag(names.GetDICOMPatientSexTagName()),
                "StudyID": exportable.tag(names.GetDICOMStudyIDTagName()),
                "StudyDate": exportable.tag(names.GetDICOMStudyDateTagName()),
                "StudyTime": exportable.tag(names.GetDICOMStudyTimeTagName()),
                "StudyDescription": exportable.tag(names.GetDICOMStudyDescriptionTagName()),
                "SeriesDescription": exportable.tag("SeriesDescription"),
                "SeriesNumber": exportable.tag("SeriesNumber"),
            }
            folder = os.path.join(exportable.directory, f"MedColorize_{exportable.subjectHierarchyItemID}")
            try:
                dicomWork.export(node, folder, tags)
            except Exception as error:
                logging.error(f"MedColorize: DICOM export failed: {error}")
                return str(error)
        return ""


class MedColorizeDICOMPlugin:
    """The hook by which the application finds the plugin."""

    def __init__(self, parent):
        parent.title = "MedColorize DICOM Plugin"  # no tr
        parent.categories = ["Developer Tools.DICOM Plugins"]  # no tr
        parent.contributors = ["MedColorize contributors"]
        parent.helpText = (
            "Exports and loads coloured volumes. No module interface here, only in the DICOM module."  # no tr
        )
        parent.hidden = True
        if DICOMLoadable is None:
            return
        if not hasattr(slicer.modules, "dicomPlugins"):
            slicer.modules.dicomPlugins = {}
        slicer.modules.dicomPlugins["MedColorizeDICOMPlugin"] = MedColorizeDICOMPluginClass
