"""Trains the papers' systems, and ours for as long, on the data of the default models, for `bench truth`.

    python Testing/Benchmarks/baselines.py WORK [--only NAME ...]       one run and one bundle each, resumable
    medcolorize bench truth --model WORK/bundles/zhang ...              beside the default models

ColorMedGAN learns from the heads alone, as published, and needs the segmentation net that is trained first; the others
see everything. The budgets are far below the papers': minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

from gallery import DATA, VGG, call

MR_TERMS = (
    "non-commercial: MRI OASIS and IXI (CC BY-SA 3.0), chris_pd (CC BY-NC); cryosections: courtesy of the U.S. "
    "National Library of Medicine"
)
CT_TERMS = "; CT: thorax and abdomen (Apache-2.0)"
LABEL_TERMS = "; label maps: Neuromorphometrics (CC BY-NC)"
SMALL = ("width=16", "discriminator_width=16", "learning_rate=5e-4")


@dataclass(frozen=True)
class System:
    """One system, and how much smaller than published it is trained here."""

    name: str
    recipe: str
    data: str
    iterations: int
    batch: int
    changes: tuple[str, ...]
    needs: str = ""


SYSTEMS = (
    System("unet-head", "segmentation-unet", "visible-human-head-oasis", 600, 2,
           ("options.widths=[16,32,64,128,256]", "classes=4", "learning_rate=1e-3", "data.levels=none",
            'data.labels_include=["*_tissues*"]', "data.color_include=[]", "data.color_exclude=[]",
            "data.color_validate=[]")),
    System("colormedgan-head-mr", "colormedgan", "heads", 1600, 1,
           (*SMALL, *VGG, "data.levels=top", "data.modality=MR"), "unet-head"),
    System("zhang", "zhang", "scans", 500, 2, ("width=16", "learning_rate=1e-3")),
    System("chromagan", "chromagan", "scans", 500, 2, ("width=16", "critic_width=16", "learning_rate=5e-4")),
    System("cyclegan", "cyclegan-resnet9", "scans", 300, 1, (*SMALL, "blocks=6", "generator_input=gray")),
    System("colorcyclegan", "colorcyclegan", "scans", 250, 1, (*SMALL, "generator_input=gray", *VGG)),
    System("medcolorize-minutes", "medcolorize-cryosections", "cryosections", 1000, 2, ()),
)  # fmt: skip
COMMON = ("data.size=128", "data.spacing=2.0", "data.rotate=12.0", "data.zoom=0.15", "data.shift=0.1",
          "data.gray_background=foreground", "data.gray_from=folder", "data.validation_slices=8",
          "budget.keep=none", "budget.samples_every=100")  # fmt: skip


def train(system: System, work: Path) -> None:
    """Train and export, unless that is done already."""
    bundle, run = work / "bundles" / system.name, work / "runs" / system.name
    if bundle.is_dir():
        return
    began = time.monotonic()
    segmentation, pairs = system.recipe.startswith("segmentation"), system.data == "cryosections"
    heads = system.data not in ("scans", "cryosections")
    words = ["train", system.recipe, "--data", system.data, "--out", str(run), "--cache", str(work / "cache")]
    if not pairs:
        words += ["--gray", str(DATA / ("mr/oasis" if segmentation else "mr" if heads else "."))]
    words += ["--labels", str(DATA / "mr/oasis")] if segmentation else ["--color", str(DATA / "cryosections")]
    changes = [*(() if pairs else COMMON), f"budget.iterations={system.iterations}", f"data.batch={system.batch}"]
    changes += system.changes
    changes += [f"budget.checkpoint_every={system.iterations // 4}", f"budget.epoch={system.iterations // 2}"]
    if system.needs:
        changes.append(f"segmentation_weights={work / 'bundles' / system.needs}")
    for change in changes:
        words += ["--set", change]
    if (run / "recipe.toml").exists():
        words.append("--resume")
    call(*words)
    terms = MR_TERMS + ("" if heads else CT_TERMS) + (LABEL_TERMS if segmentation or system.needs else "")
    data = "OASIS brains" if segmentation else "what head-mr is trained on" if heads else "what head-mr and body-ct are"
    if pairs:
        terms, data = "cryosections: courtesy of the U.S. National Library of Medicine", "cryosections"
    words = ["export", str(run), "-o", str(bundle), "--name", system.name, "--checkpoint", "last", "--half"]
    call(*words, "--terms", terms, "--data", data)
    (run / "time.json").write_text(json.dumps({"seconds": round(time.monotonic() - began, 1)}))


def main() -> None:
    """Train all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    for system in SYSTEMS:
        if not args.only or system.name in args.only:
            print(f"== {system.name}", flush=True)
            train(system, args.work)


if __name__ == "__main__":
    main()
