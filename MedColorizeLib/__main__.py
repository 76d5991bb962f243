"""`python -m MedColorizeLib` is the command `medcolorize`."""

from .app.cli import run

run()
