"""Training steps per second and inference per slice of every system, in one run, with ResNet-9 CycleGAN as 1.0.

    python Testing/Benchmarks/method_speed.py [--rounds 3] [--size 256] [--threads N] [--only NAME...] [--json FILE]

The systems take turns, one step each, round after round, so that other work on the machine weighs on all alike. Each
trains with its published options and batch 1 (`Variant` says where a second row differs); frozen networks have random
weights, which changes no time. "as built" is `inference_network()`. bf16 rows appear where the processor has it.

With one thread the clock is the processor time of this process, which other programs hardly disturb; with more it is
the wall clock, which they do.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MedColorizeLib.methods.base import Batch, Method
from MedColorizeLib.methods.registry import load_method, method_names
from MedColorizeLib.networks.precision import computes_bfloat16
from MedColorizeLib.training.engine import FabricEngine, make_fabric

REFERENCE = "cyclegan"
CLOCK = {True: "processor time", False: "wall clock"}


@dataclass
class Variant:
    """One row: a method, what of its options differs, the precision, and the times taken."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    steps: list[float] = field(default_factory=list)
    slices: list[float] = field(default_factory=list)
    parameters: int = 0

    @property
    def name(self) -> str:
        extra = [f"{key} {value}" for key, value in self.options.items()] + [self.precision] * (
            self.precision != "fp32"
        )
        return self.method + (f" ({', '.join(extra)})" if extra else "")


def variants(only: Sequence[str], size: int) -> list[Variant]:
    """Every registered system, and the rows that the goals speak of."""
    found = [Variant(name) for name in method_names()]
    unet = {"generator": "unet256"} | ({"depth": size.bit_length() - 1} if size < 256 else {})
    found += [Variant("cyclegan", unet), Variant("colormedgan", {"upsample": "deconv"})]
    if computes_bfloat16("cpu"):
        found += [Variant("cyclegan", precision="bf16"), Variant("colormedgan", precision="bf16")]
    return [each for each in found if not only or each.method in only or each.method == REFERENCE]


def make(variant: Variant) -> Method:
    """The method with its published options; weights of frozen networks are random."""
    kind = load_method(variant.method)
    names = [f.name for f in dataclasses.fields(kind.Options)]
    frozen = {name: "random" for name in names if name.endswith("_weights")}
    torch.manual_seed(0)
    return kind(kind.Options.from_mapping({**frozen, **variant.options})).train()


def batch_of(size: int) -> Batch:
    """One slice of each domain, with labels."""
    random = torch.Generator().manual_seed(1)
    color = torch.rand(1, 3, size, size, generator=random) * 2 - 1
    gray = torch.rand(1, 1, size, size, generator=random) * 2 - 1
    luma = (color * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    labels = torch.randint(0, 3, (1, size, size), generator=random)
    ones = torch.ones(1, 1, size, size)
    return Batch(gray, color, luma, labels, labels, ones, ones)


def timed(work: Callable[[], Any]) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def measure(rows: list[Variant], size: int, rounds: int) -> None:
    """Fill the rows' times. Inference first, then training, each round-robin."""
    unpaired = batch_of(size)
    paired = dataclasses.replace(unpaired, gray=unpaired.color_gray)
    engines = {precision: FabricEngine(make_fabric("cpu", precision)) for precision in {r.precision for r in rows}}
    methods = [make(row) for row in rows]
    networks = []
    for row, method in zip(rows, methods, strict=True):
        row.parameters = sum(p.numel() for net in method.networks().values() for p in net.parameters())
        network = method.inference_network()
        networks.append(network.to(torch.bfloat16) if row.precision == "bf16" else network)
    with torch.inference_mode():
        for turn in range(2 * rounds + 1):
            for row, network in zip(rows, networks, strict=True):
                gray = unpaired.gray.to(next(network.parameters()).dtype)
                seconds = timed(lambda network=network, gray=gray: network(gray))
                row.slices += [seconds] if turn else []  # the first turn warms up
    del networks
    for turn in range(rounds + 1):
        for row, method in zip(rows, methods, strict=True):
            batch = paired if method.paired else unpaired
            seconds = timed(lambda method=method, batch=batch, row=row: method.step(batch, engines[row.precision]))
            row.steps += [seconds] if turn else []
            gc.collect()
            print(f"turn {turn}: {row.name}: {seconds:.2f} s", file=sys.stderr)


def table(rows: list[Variant]) -> list[dict[str, Any]]:
    """Medians, and ratios to the reference."""
    reference = next(row for row in rows if row.name == REFERENCE)
    step, one = statistics.median(reference.steps), statistics.median(reference.slices)
    return [
        {
            "system": row.name,
            "trained parameters M": row.parameters / 1e6,
            "training step s": statistics.median(row.steps),
            "steps per second": 1 / statistics.median(row.steps),
            "step ratio": statistics.median(row.steps) / step,
            "inference ms": 1000 * statistics.median(row.slices),
            "inference ratio": statistics.median(row.slices) / one,
        }
        for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="*", default=[], choices=method_names(), metavar="NAME")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = variants(arguments.only, arguments.size)
    measure(rows, arguments.size, arguments.rounds)
    figures = table(rows)
    print("| system | M trained | step, s | steps/s | ratio | inference as built, ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for row in figures:
        print(
            f"| {row['system']} | {row['trained parameters M']:.2f} | {row['training step s']:.2f} "
            f"| {row['steps per second']:.3f} | {row['step ratio']:.2f} | {row['inference ms']:.0f} "
            f"| {row['inference ratio']:.2f} |"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    threads, rounds = torch.get_num_threads(), arguments.rounds
    print(
        f"\n{threads} thread(s), {CLOCK[threads == 1]}, torch {torch.__version__}, {rounds} rounds, peak {peak:.1f} GB"
    )
    if not computes_bfloat16("cpu"):
        print("This processor has no bf16 arithmetic: no bf16 rows.")
    if arguments.json:
        machine = {"threads": threads, "clock": CLOCK[threads == 1], "torch": torch.__version__}
        arguments.json.write_text(json.dumps({"size": arguments.size, "machine": machine, "rows": figures}, indent=1))


if __name__ == "__main__":
    main()
