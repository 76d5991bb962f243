"""One function or small class per published loss term, with its equation number.

Not for: weights of the terms (recipes hold those) or training steps (methods hold those).
"""
