"""Datasets, the loop, checkpoints and progress of training.

Not for: what a system is made of (methods hold that).
"""
