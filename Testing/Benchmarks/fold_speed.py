"""How much faster the networks as built for inference are than as the papers write them, and how far they differ.

    python Testing/Benchmarks/fold_speed.py [--size 256] [--rounds 9] [--threads 2] [--only TEXT] [--json FILE]

Every network colours the same slice in turn, round after round, so that other work on the machine weighs on all alike;
the table has medians and ratios within this one run. bf16 is measured where the processor computes it in hardware.
With one thread the clock is the processor time of this process, which other programs hardly disturb.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MedColorizeLib.methods.base import Method, middle
from MedColorizeLib.methods.colormedgan import ColorMedGAN, ColorMedGANOptions
from MedColorizeLib.methods.cyclegan import CycleGAN, CycleGANOptions
from MedColorizeLib.networks.precision import computes_bfloat16
from MedColorizeLib.networks.upsampling import UpsampleConv2d

Run = Callable[[Tensor], Tensor]


class AsWritten(nn.Module):
    """ColorMedGAN's inference as the paper and its code have it: spectral norm alive, batch norm apart, nearest x2
    before a 5x5 convolution, the segmentation network run to its label map."""

    def __init__(self, method: ColorMedGAN) -> None:
        super().__init__()
        self.g = method.g.eval()
        self.s = None if method.semantic is None else method.semantic.network
        for module in self.g.modules():
            if isinstance(module, UpsampleConv2d):
                module.forward = module.plain  # type: ignore[method-assign]

    def forward(self, gray: Tensor) -> Tensor:
        maps = () if self.s is None else self.s(middle(gray))[1:]
        return self.g(gray, *maps)


def networks(bfloat16: bool, only: str) -> dict[str, tuple[Run, str]]:
    """Name -> what to run, and the name it is compared with. `only`: ResNet-9 and names that hold this text."""
    torch.manual_seed(0)
    found: dict[str, tuple[Run, str]] = {}

    def add(name: str, method: Method, plain: nn.Module) -> None:
        if name != "ResNet-9" and only not in name:
            return
        built = method.inference_network()
        found[f"{name}, as written"] = (plain, f"{name}, as written")
        found[f"{name}, as built"] = (built, f"{name}, as written")
        if bfloat16:
            half = method.inference_network().to(torch.bfloat16)
            found[f"{name}, as built, bf16"] = (lambda gray: half(gray.bfloat16()).float(), f"{name}, as written")

    resnet = CycleGAN(CycleGANOptions(generator_input="gray"))
    add("ResNet-9", resnet, resnet.g.eval())
    unet = CycleGAN(CycleGANOptions(generator_input="gray", generator="unet256"))
    add("U-Net-256", unet, unet.g.eval())
    for upsample in ("nearest", "deconv"):
        options = ColorMedGANOptions(upsample=upsample, segmentation_weights="random", beta=0.0)
        method = ColorMedGAN(options)
        settle(method)
        add(f"ColorMedGAN ({upsample})", method, AsWritten(method))
    options = ColorMedGANOptions(fusion="none", beta=0.0)
    method = ColorMedGAN(options)
    add("ColorMedGAN generator alone (nearest)", method, AsWritten(method))
    return found


def settle(method: ColorMedGAN) -> None:
    """Give S's batch norms statistics of their own, so that folding them is put to the test."""
    for network in method.frozen().values():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
                nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
                nn.init.uniform_(module.weight, 0.5, 1.5)


def measure(size: int, rounds: int, only: str) -> list[dict[str, Any]]:
    """One row a network."""
    gray = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    runs = networks(computes_bfloat16("cpu"), only)
    times: dict[str, list[float]] = {name: [] for name in runs}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    pictures: dict[str, Tensor] = {}
    with torch.inference_mode():
        for _ in range(rounds + 1):  # the first round warms up
            for name, (run, _) in runs.items():
                start = clock()
                pictures[name] = run(gray)
                times[name].append(clock() - start)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    return [
        {
            "network": name,
            "ms": 1000 * medians[name],
            "of as written": medians[name] / medians[base],
            "of ResNet-9": medians[name] / medians["ResNet-9, as written"],
            "largest difference": float((pictures[name] - pictures[base]).abs().max()),
        }
        for name, (_, base) in runs.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="", metavar="TEXT", help="networks whose name holds this text")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measure(arguments.size, arguments.rounds, arguments.only)
    print("| network | ms | of as written | of ResNet-9 | largest difference |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['network']} | {row['ms']:.0f} | {row['of as written']:.2f} | {row['of ResNet-9']:.2f} "
            f"| {row['largest difference']:.1e} |"
        )
    if not computes_bfloat16("cpu"):
        print("\nThis processor has no bf16 arithmetic (avx512_bf16 or amx): not measured.")
    if arguments.json:
        arguments.json.write_text(json.dumps({"size": arguments.size, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
