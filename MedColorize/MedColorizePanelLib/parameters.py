"""What a scene remembers of the panel. Choices are stored by key, so that a translated text never gets into a scene."""

import slicer

from .compat import parameterNodeWrapper


@parameterNodeWrapper
class MedColorizeParameterNode:
    """Parameters of the module; node references survive saving, loading and renaming."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    labels: slicer.vtkMRMLNode
    outputVolume: slicer.vtkMRMLVectorVolumeNode
    model: str = ""  # "palette:head-mr", "bundle:...", or empty for the best there is
    reference: str = ""  # picture or library, for models that colour after one
    referencePicture: str = ""  # SHA-256 of a library's picture; empty for the nearest
    window: str = "auto"  # "auto", "display", "range", or the name of a CT window
    windowLow: float = 0.0
    windowHigh: float = 255.0
    fidelity: str = "exact"
    device: str = "auto"
    frames: str = "current"
    showIn3D: bool = True

    viewedVolume: slicer.vtkMRMLVectorVolumeNode

    measuredVolume: slicer.vtkMRMLVectorVolumeNode
    measuredGray: slicer.vtkMRMLScalarVolumeNode
