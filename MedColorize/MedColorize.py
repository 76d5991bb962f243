import importlib
import logging
import os
import sys

import qt
import slicer
import vtk
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from MedColorizePanelLib import compat
from MedColorizePanelLib.compat import tr as _
from MedColorizePanelLib.compat import translate

compat.makeLibraryImportable()


#
# MedColorize
#


class MedColorize(ScriptedLoadableModule):
    """Truthful colour for gray volumes: the module as the application lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedColorize")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Rendering")]
        self.parent.dependencies = ["VolumeRendering", "Segmentations", "Sequences"]
        self.parent.contributors = ["MedColorize contributors"]
        self.parent.helpText = _(
            "Colours gray MR, CT and other volumes. The brightness of every voxel stays what was measured; the "
            "colour is "
            "synthetic and not for diagnosis."
        ) + self.getDefaultModuleDocumentationLink("https://github.com/MedColorize/SlicerMedColorize#readme")
        self.parent.acknowledgementText = _(
            "Methods follow published work; each model's card names its paper, its training data and their terms."
        )
        slicer.app.connect("startupCompleted()", onStartupCompleted)


def onStartupCompleted():
    """What needs the rest of the application: sample data, the settings page."""
    from MedColorizePanelLib import sampleData, settingsPanel

    sampleData.register(os.path.dirname(os.path.abspath(__file__)))
    if not slicer.app.commandOptions().noMainWindow:
        settingsPanel.register()


#
# MedColorizeWidget
#


class MedColorizeWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: five tabs over one parameter node."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.tabs = []
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedColorize.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = MedColorizeLogic()

        from MedColorizePanelLib.colorizeTab import ColorizeTab
        from MedColorizePanelLib.consistencyTab import ConsistencyTab
        from MedColorizePanelLib.modelsTab import ModelsTab
        from MedColorizePanelLib.trainTab import TrainTab
        from MedColorizePanelLib.viewTab import ViewTab

        self.viewTab = ViewTab(self.ui, self.logic)
        self.tabs = [
            ColorizeTab(self.ui, self.logic, self.onColored),
            self.viewTab,
            ConsistencyTab(self.ui, self.logic),
            TrainTab(self.ui, self.logic),
            ModelsTab(self.ui, self.logic),
        ]
        # Rows take the height of their text once their table has its width: when its tab is shown.
        self.ui.tabWidget.connect("currentChanged(int)", lambda index: qt.QTimer.singleShot(0, self.fitTables))
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.initializeParameterNode()

    def cleanup(self):
        """The module is unloaded or reloaded, or the application ends: nothing may go on running."""
        for tab in self.tabs:
            tab.cleanup()
        if self.logic is not None:
            self.logic.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def fitTables(self):
        for tab in self.tabs:
            tab.fitTables()

    def enter(self):
        self.initializeParameterNode()
        self.logic.refreshCatalogue()

    def exit(self):
        if self._parameterNode is not None and self._parameterNodeGuiTag is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(
                self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged
            )
            self._parameterNodeGuiTag = None

    def onSceneStartClose(self, caller, event):
        for tab in self.tabs:
            tab.sceneClosing()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Take the scene's parameter node, and choose an input if there is none yet."""
        self.setParameterNode(self.logic.getParameterNode())
        if self._parameterNode.inputVolume is None:
            self._parameterNode.inputVolume = firstGrayVolume()

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            if self._parameterNodeGuiTag is not None:
                self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
                self._parameterNodeGuiTag = None
            self.removeObserver(
                self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged
            )
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        for tab in self.tabs:
            tab.setParameterNode(parameterNode)

    def _unobserveParameters(self):
        observed = (self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        if self.hasObserver(*observed):
            self.removeObserver(*observed)

    def onParametersChanged(self, caller=None, event=None):
        for tab in self.tabs:
            tab.update()

    def onColored(self, slicesNode, node3D, showIn3D):
        """A volume was coloured: show it, and let the other tabs have it."""
        parameters = self._parameterNode
        if parameters is None:
            return
        parameters.viewedVolume = slicesNode
        parameters.measuredVolume = slicesNode
        parameters.measuredGray = parameters.inputVolume
        slicer.util.setSliceViewerLayers(
            background=parameters.inputVolume, foreground=slicesNode, foregroundOpacity=1.0
        )
        if showIn3D and node3D is not None:
            self.viewTab.showIn3D(node3D)
        self.onParametersChanged()

    def onReload(self):
        """Reload the module together with its parts and the library, which Slicer's own reload leaves as they are."""
        forgetPackages("MedColorizePanelLib", "MedColorizeLib")
        ScriptedLoadableModuleWidget.onReload(self)


def firstGrayVolume():
    """The first gray volume of the scene: neither coloured nor labels."""
    scene = slicer.mrmlScene
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors():
            return node
    return None


def forgetPackages(*packages):
    """Have these packages imported anew, so that every part sees the others' new code."""
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
    importlib.invalidate_caches()


#
# MedColorizeLogic
#


class MedColorizeLogic(ScriptedLoadableModuleLogic):
    """What the panel and scripts share: parameters, the list of models, dependencies, colouring."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.catalogue = []
        self.recipes = []
        self.recipeChanges = []
        self.store = ""
        self.onCatalogue = []
        self.onDevices = []
        self._jobs = []

    def getParameterNode(self):
        from MedColorizePanelLib.parameters import MedColorizeParameterNode

        return MedColorizeParameterNode(super().getParameterNode())

    def stop(self):
        """End the background requests."""
        for job in self._jobs:
            job.abandon()
        self._jobs = []
        self.onCatalogue, self.onDevices = [], []

    def refreshCatalogue(self):
        """Ask, in the background, which models there are and on what they could run."""
        from MedColorizePanelLib.jobs import Job

        if compat.reasonNotToRun(palette=True):
            return
        for job in self._jobs:
            job.abandon()  # what it was about to say may be out of date

        def gotCatalogue(result):
            self.catalogue, self.recipes, self.store = result["models"], result["recipes"], result["store"]
            for listener in self.onCatalogue:
                listener(self.catalogue)
            if result["devices"] is None:
                self._jobs.append(Job("devices", {}, onDone=gotDevices, onFailed=failed).start())
            else:
                gotDevices(result)

        def gotDevices(result):
            for listener in self.onDevices:
                listener(result["devices"])

        def failed(failure):
            logging.warning(f"MedColorize: {failure.text}")

        self._jobs = [Job("catalogue", {}, onDone=gotCatalogue, onFailed=failed).start()]

    def model(self, key):
        """The catalogue's entry of `kind:name`, or None."""
        kind, _separator, name = key.partition(":")
        return next((entry for entry in self.catalogue if (entry["kind"], entry["name"]) == (kind, name)), None)

    def ensureDependencies(self, modelKey):
        """See that a model's packages are there, asking first.

        Palettes, the quick reference method and the models that come with the extension need none.
        """
        if not modelKey or modelKey.startswith(("palette:", "exemplar:welsh")):
            return
        needsTorch = (self.model(modelKey) or {}).get("needs_torch", True)
        if needsTorch and not compat.pythonForWork()[1]:
            compat.ensureTorch()
            here = os.path.dirname(os.path.abspath(__file__))
            compat.ensurePackages(os.path.join(here, "Resources", "requirements.txt"))

    def colorize(
        self,
        inputVolume,
        model="",
        labels=None,
        window="auto",
        fidelity="exact",
        device="auto",
        reference="",
        referencePicture="",
    ):
        """Colour a volume and wait for it: for scripts. Returns the nodes for slices and for 3D.

        :param inputVolume: gray volume node.
        :param model: `palette:NAME`, `bundle:NAME`, `exemplar:welsh` or `exemplar:zeng`, or empty for the best.
        :param window: `auto`, `display`, the name of a CT window, or `(low, high)`.
        :param reference: for `exemplar`: the path of a picture, or of a library of them.
        :param referencePicture: the SHA-256 of a library's picture, instead of the nearest one.
        :raises RuntimeError: with what a person should know, if it can't be done.
        """
        from MedColorizePanelLib import coloring

        isRange = isinstance(window, (tuple, list))
        request = coloring.Request(
            inputVolume,
            labels,
            model,
            "range" if isRange else window,
            window if isRange else (0, 1),
            fidelity,
            device,
            reference,
            referencePicture,
        )
        loop = qt.QEventLoop()
        outcome = []

        def finish(value):
            outcome.append(value)
            loop.quit()

        job = coloring.colorize(request, onDone=finish, onFailed=finish)
        if job.running:
            loop.exec_()
        if not isinstance(outcome[0], tuple):
            raise RuntimeError(outcome[0].text)
        return outcome[0]


#
# MedColorizeTest
#


class MedColorizeTest(ScriptedLoadableModuleTest):
    """Self test: runs in the application, without network, torch or monai.

    `Slicer --testing --no-splash --additional-module-paths MedColorize --python-code
    "import slicer; slicer.selfTests['MedColorize'](); slicer.util.exit(0)"`
    """

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        self.setUp()
        self.test_ParametersSurviveClosingTheScene()
        self.setUp()
        self.test_ColoredAndLabelVolumesAreRefused()
        self.setUp()
        self.test_Colorize()

    @staticmethod
    def makeVolume(className="vtkMRMLScalarVolumeNode", channels=1):
        """A ball of tissue in air, small enough for any machine."""
        import numpy as np

        z, y, x = np.mgrid[-1:1:24j, -1:1:32j, -1:1:28j]
        array = (np.clip(1 - np.sqrt(x * x + y * y + z * z), 0, 1) * 900).astype(np.int16)
        if channels > 1:
            array = np.repeat((array / 4).astype(np.uint8)[..., None], channels, axis=3)
        node = slicer.mrmlScene.AddNewNodeByClass(className, "ball")
        slicer.util.updateVolumeFromArray(node, array)
        node.SetSpacing(1.0, 1.5, 2.0)
        node.CreateDefaultDisplayNodes()
        return node

    def test_ParametersSurviveClosingTheScene(self):
        logic = MedColorizeLogic()
        parameters = logic.getParameterNode()
        self.assertEqual(parameters.fidelity, "exact")
        parameters.inputVolume = self.makeVolume()
        self.assertEqual(parameters.inputVolume.GetName(), "ball")
        slicer.mrmlScene.Clear(0)
        self.assertIsNone(logic.getParameterNode().inputVolume)

    def test_ColoredAndLabelVolumesAreRefused(self):
        logic = MedColorizeLogic()
        for node in (self.makeVolume("vtkMRMLVectorVolumeNode", 3), self.makeVolume("vtkMRMLLabelMapVolumeNode")):
            with self.assertRaisesRegex(Exception, "label map|colour or vector"):
                logic.colorize(node, model="palette:head-mr")

    def test_Colorize(self):
        reason = compat.reasonNotToRun(palette=True)
        if reason:
            self.delayDisplay(reason)
            return
        import numpy as np

        source = self.makeVolume()
        slices, volume3D = MedColorizeLogic().colorize(source, model="palette:head-mr")
        rgb = slicer.util.arrayFromVolume(slices).astype(float)
        self.assertEqual(slicer.util.arrayFromVolume(volume3D).shape[3], 4)
        before, after = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        source.GetIJKToRASMatrix(before)
        slices.GetIJKToRASMatrix(after)
        for row in range(4):
            for column in range(4):
                self.assertEqual(before.GetElement(row, column), after.GetElement(row, column))
        self.assertGreater(np.abs(rgb[..., 0] - rgb[..., 2]).max(), 20, "there is no colour")
        self.assertIn("Synthetic", slices.GetDescription())
        self.delayDisplay("Test passed")
