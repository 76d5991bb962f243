"""One file per command of `medcolorize`: `add(subparsers)` declares it, `run(args, console)` does it."""
