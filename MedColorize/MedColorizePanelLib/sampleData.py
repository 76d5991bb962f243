"""Volumes to try the module with, in the application's Sample Data module: Slicer's own data, from its own place."""

import logging
import os

from .compat import tr as _

CATEGORY = "MedColorize"
BASE = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
SAMPLES = (
    # name, file, SHA-256
    ("MRHead", "MR-head.nrrd", "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"),
    ("CTChest", "CT-chest.nrrd", "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"),
)


def register(moduleFolder):
    """Offer the samples; an application without Sample Data has none."""
    try:
        import SampleData
    except ImportError as error:
        logging.debug(f"MedColorize: no sample data ({error})")
        return
    if hasattr(SampleData.SampleDataLogic, "registerCustomSampleDataCategory"):  # since 5.11
        SampleData.SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("MedColorize"))
    for name, file, sha256 in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName="MedColorize" + name,
            thumbnailFileName=os.path.join(moduleFolder, "Resources", "Icons", "MedColorize.png"),
            uris=BASE + sha256,
            fileNames=file,
            checksums="SHA256:" + sha256,
            nodeNames=name,
        )
