"""Volumes, their geometry, readers and writers, windows, slicing, colour spaces and the luminance lock.

Not for: anything that needs torch, a window or a scene.
"""
