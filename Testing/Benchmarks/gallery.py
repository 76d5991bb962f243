"""Trains every system on the real data at a small stated budget, colours the same held-out brain with each, and writes
the gallery: Docs/Gallery.md, Docs/Figures/gallery-*.png.

    python Testing/Benchmarks/gallery.py train WORK [--only NAME ...]     one run and one bundle each, resumable
    python Testing/Benchmarks/gallery.py page WORK                        colours the brain, draws the figures

The budgets are far below the papers': the page shows that each system learns and works, not which is best.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
DATA = Path(os.environ.get("MEDCOLORIZE_DATA", REPOSITORY.parent / "shared" / "data"))
HELD_OUT = "mr/oasis/1017_t1.nii.gz"
TERMS = "MRI: OASIS; cryosections: courtesy of the U.S. National Library of Medicine"
LABEL_TERMS = "; label maps: Neuromorphometrics, CC BY-NC"

COMMON = ["data.size=128", "data.spacing=2.0", "data.rotate=8.0", "data.zoom=0.1", "data.shift=0.05",
          "data.gray_background=foreground", "data.gray_from=folder", "data.levels=top",
          "budget.samples_every=0", "budget.log_every=5"]  # fmt: skip
VGG = ["features=vgg19", f"features_weights={DATA}/weights/vgg19_conv1_1_to_conv3_4.npz"]


@dataclass(frozen=True)
class System:
    """One row of the gallery: a recipe, and how much smaller than published it is trained here."""

    recipe: str
    title: str
    iterations: int
    batch: int
    changes: tuple[str, ...]
    needs: str = ""
    loss: str = ""
    """The loss whose curve is shown."""


SYSTEMS = (
    System("segmentation-unet", "Segmentation U-Net", 80, 2,
           ("options.widths=[16,32,64,128,256]", "classes=4", "learning_rate=1e-3", "data.levels=none"), loss="S_dice"),
    System("tanjim-4-lab", "Tanjim & Liu, 4 layers, LAB", 300, 4, ("learning_rate=3e-3",), loss="G_mse"),
    System("tanjim-10-lab", "Tanjim & Liu, 10 layers, LAB", 150, 4, ("width=16", "learning_rate=1e-3"), loss="G_mse"),
    System("lohar", "Lohar, as written", 160, 1, ("width=8", "learning_rate=2e-3"), loss="G_mse"),
    System("lohar-adversarial", "Lohar, adversarial", 160, 1, ("width=8", "learning_rate=2e-3"), loss="G_mse"),
    System("zhang", "Zhang 2016", 120, 2, ("width=16", "learning_rate=1e-3"), loss="G_classes"),
    System("chromagan", "ChromaGAN", 100, 2, ("width=16", "critic_width=16", "learning_rate=5e-4"), loss="G_chroma"),
    System("cyclegan-unet", "CycleGAN, U-Net", 150, 1,
           ("width=16", "discriminator_width=16", "depth=7", "generator_input=gray", "learning_rate=5e-4"),
           loss="identity_Y"),
    System("cyclegan-resnet9", "CycleGAN, ResNet", 100, 1,
           ("width=16", "discriminator_width=16", "blocks=6", "generator_input=gray", "learning_rate=5e-4"),
           loss="identity_Y"),
    System("liang-2-proposal", "Liang 2021", 80, 1,
           ("width=16", "discriminator_width=16", "blocks=6", "generator_input=gray", "learning_rate=5e-4",
            "data.color_background=cryosection", *VGG), loss="identity_Y"),
    System("tanjim-cyclegan-rgb", "Tanjim & Liu, CycleGAN", 80, 1,
           ("width=16", "discriminator_width=16", "blocks=6", "generator_input=gray", "learning_rate=5e-4"),
           loss="identity_Y"),
    System("colorcyclegan", "colorCycleGAN", 80, 1,
           ("width=16", "discriminator_width=16", "generator_input=gray", "learning_rate=5e-4", *VGG),
           loss="identity_Y"),
    System("colormedgan", "ColorMedGAN", 100, 1,
           ("width=16", "discriminator_width=16", "learning_rate=5e-4", *VGG), needs="segmentation-unet",
           loss="identity_Y"),
)  # fmt: skip


def call(*words: str) -> None:
    """`medcolorize ...` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-m", "MedColorizeLib.app.cli", *words], check=True, env=environment)


def train_one(system: System, work: Path) -> None:
    """Train and export, unless that is done already."""
    bundle, run = work / "bundles" / system.recipe, work / "runs" / system.recipe
    if bundle.is_dir():
        return
    began = time.monotonic()
    changes = [*COMMON, f"budget.iterations={system.iterations}", f"data.batch={system.batch}", *system.changes]
    changes += [f"budget.checkpoint_every={system.iterations // 2}", f"budget.epoch={system.iterations // 4}"]
    changes += ["data.validation_slices=8", "budget.keep=none"]  # no such figure: the last weights, not chosen ones
    if system.needs:
        changes.append(f"segmentation_weights={work / 'bundles' / system.needs}")
    words = ["train", system.recipe, "--data", "visible-human-head-oasis", "--out", str(run)]
    words += ["--gray", str(DATA / "mr/oasis"), "--cache", str(work / "cache")]
    if system.recipe.startswith("segmentation"):
        words += ["--labels", str(DATA / "mr/oasis"), "--set", 'data.labels_include=["*_tissues*"]']
        words += ["--set", "data.color_include=[]", "--set", "data.color_exclude=[]", "--set", "data.color_validate=[]"]
    else:
        words += ["--color", str(DATA / "cryosections")]
    for change in changes:
        words += ["--set", change]
    if (run / "recipe.toml").exists():
        words.append("--resume")
    call(*words)
    words = ["export", str(run), "-o", str(bundle), "--name", f"gallery-{system.recipe}", "--checkpoint", "last"]
    terms = TERMS + (LABEL_TERMS if "segmentation-unet" in (system.recipe, system.needs) else "")
    call(*words, "--terms", terms, "--data", "8 OASIS brains; Visible Human frames 1-250 but for those held out")
    seconds = {"seconds": round(time.monotonic() - began, 1)}
    (work / "runs" / system.recipe / "gallery.json").write_text(json.dumps(seconds))


def color_volume(system: System, work: Path) -> Any:
    """The held-out brain through the `Colorizer`, luma kept exactly; kept as an array for a second drawing."""
    from MedColorizeLib.imaging.read import read_volume
    from MedColorizeLib.inference.colorizer import Colorizer

    kept = work / "colored" / f"{system.recipe}.npy"
    if not kept.exists():
        began = time.monotonic()
        color = Colorizer(model=work / "bundles" / system.recipe, device="cpu").colorize(read_volume(DATA / HELD_OUT))
        kept.parent.mkdir(exist_ok=True)
        np.save(kept, color.array)
        print(f"{system.recipe}: {time.monotonic() - began:.1f} s for {color.shape}", flush=True)
    return np.load(kept)


def main() -> None:
    """Train or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "page"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    chosen = [system for system in SYSTEMS if not args.only or system.recipe in args.only]
    if args.what == "train":
        for system in chosen:
            print(f"== {system.recipe}", flush=True)
            train_one(system, args.work)
        return
    import gallery_page

    gallery_page.write(chosen, args.work, REPOSITORY / "Docs")


if __name__ == "__main__":
    main()
