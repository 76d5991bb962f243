"""One file per published system: which networks, which losses, which step. A registry maps names to methods.

Not for: loops, checkpoints or data (training holds those).
"""
