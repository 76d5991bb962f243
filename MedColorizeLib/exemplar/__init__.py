"""Colouring from a reference picture (Zeng 2020) and the classical transfers it is compared with.

Not for: anything that is trained.
"""
