"""`python -m MedColorizeLib` is the command `medcolorize`."""

import sys

from .app.cli import main

sys.exit(main())
