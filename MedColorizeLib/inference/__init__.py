"""`Colorizer`: a gray volume in, a coloured one out, in bounded memory.

Not for: reading or writing files, or training.
"""
