"""Starts the worker process: `python startWorker.py LIBRARY_ROOT FOLDER [--parent PID]`.

On a Python older than the library asks for (Slicer before 5.10) it first supplies the few names of newer standard
libraries that colouring with palettes needs. Run as a script; nothing imports it.
"""

import sys


def supplyNewerNames():
    """What Python 3.10 and 3.11 added and the palettes' path through the library uses."""
    import builtins
    import itertools
    import typing

    if not hasattr(typing, "Self"):
        typing.Self = typing.Any
    if not hasattr(itertools, "pairwise"):

        def pairwise(items):
            first, second = itertools.tee(items)
            next(second, None)
            return plainZip(first, second)

        itertools.pairwise = pairwise
    try:
        import tomllib  # noqa: F401
    except ImportError:
        from pip._vendor import tomli

        sys.modules["tomllib"] = tomli
    plainZip = builtins.zip
    if sys.version_info < (3, 10):

        def zipAnyLength(*items, strict=False):
            return plainZip(*items)

        builtins.zip = zipAnyLength


if __name__ == "__main__":
    import runpy

    sys.path.insert(0, sys.argv.pop(1))
    if sys.version_info < (3, 11):
        supplyNewerNames()
    runpy.run_module("MedColorizeLib.app.worker", run_name="__main__", alter_sys=True)
