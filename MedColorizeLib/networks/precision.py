"""Where half precision pays: on CUDA, and on processors that compute bfloat16 in hardware.

Elsewhere it is emulated and slower than single precision.
"""

from __future__ import annotations

from pathlib import Path

import torch


def computes_bfloat16(device: torch.device | str) -> bool:
    """Whether `device` has bfloat16 arithmetic."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.device(device).type != "cpu":
        return False
    flags = _cpu_flags()
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags


def _cpu_flags() -> set[str]:
    """What Linux says of the processor (x86 `flags`, ARM `Features`); elsewhere nothing is known, so nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return set(lines[0].partition(":")[2].split()) if lines else set()
