"""Generators, discriminators, segmentation nets, fusion blocks and frozen feature nets.

Not for: losses, data, or anything that knows what a volume is.
"""
