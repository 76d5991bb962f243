"""Many cases without a window:

    Slicer --no-splash --no-main-window --python-script MedColorizeBatch.py -- --input DIR --output DIR [options]
    python MedColorizeBatch.py --input DIR --output DIR [options]

`--input` may be given several times: folders, files, patterns or CSV manifests. The other options are those of
`medcolorize batch`, whose engine this is (`--help` lists them). Ends with its exit code; never asks anything.
In the application the work is done by the Python that the panel's workers use, and nothing is loaded into it.
"""

import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MODULE = os.path.dirname(os.path.dirname(HERE))
OLDEST_PYTHON = (3, 11)


def libraryRoot():
    """The folder that holds MedColorizeLib: beside the module when installed, one up in a source checkout."""
    for folder in (MODULE, os.path.dirname(MODULE)):
        if os.path.isfile(os.path.join(folder, "MedColorizeLib", "__init__.py")):
            return folder
    return None


def batchWords(words):
    """This script's options as those of `medcolorize batch`."""
    words = words[1:] if words[:1] == ["--"] else list(words)
    inputs, rest = [], []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name not in ("--input", "--output"):
            rest.append(word)
            continue
        if not equals:
            if not words:
                raise ValueError(f"{name} needs a value.")
            value = words.pop(0)
        if name == "--input":
            inputs.append(value)
        else:
            rest += ["--output", value]
    if not inputs and not {"-h", "--help"} & set(rest):
        raise ValueError("--input is missing: the folder, file, pattern or CSV manifest to colour.")
    # `--window LOW HIGH` would swallow inputs that follow it.
    return ["batch", *inputs, *rest]


def inApplication():
    """True inside Slicer; false under PythonSlicer, or any Python with or without the package slicer-core."""
    slicer = sys.modules.get("slicer")
    return slicer is not None and hasattr(slicer, "app") and hasattr(slicer.app, "slicerHome")


def runOutside(words):
    """Have this script done by the Python of the panel's workers; returns its exit code."""
    import slicer

    if MODULE not in sys.path:
        sys.path.insert(0, MODULE)
    from MedColorizePanelLib import compat

    executable, isExternal = compat.pythonForWork()
    # An external Python must not see the application's own libraries.
    environment = dict(slicer.util.startupEnvironment() if isExternal else os.environ)
    command = [executable, os.path.abspath(__file__), "--parent", str(os.getpid()), *words]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except KeyboardInterrupt:  # it heard the same Ctrl-C, and stops by itself
        return process.wait()


def endWith(parent):
    """Stop, as after Ctrl-C, when the process `parent` is gone."""
    import signal

    from MedColorizeLib.app.worker import alive

    def look():
        while alive(parent):
            time.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()


def main(words):
    """Returns the exit code."""
    if inApplication():
        return runOutside(words)
    if sys.version_info < OLDEST_PYTHON:
        sys.stderr.write(
            "MedColorize: batches need Python 3.11 (Slicer 5.10) or newer. Name such a Python in MEDCOLORIZE_PYTHON.\n"
        )
        return 5
    root = libraryRoot()
    if root is None:
        sys.stderr.write(f"MedColorize: the folder MedColorizeLib is missing beside {MODULE}. Reinstall it.\n")
        return 5
    if root not in sys.path:
        sys.path.insert(0, root)
    if words[:1] == ["--parent"]:
        endWith(int(words[1]))
        words = words[2:]
    try:
        words = batchWords(words)
    except ValueError as error:
        sys.stderr.write(f"MedColorize: {error}\n")
        return 2
    from MedColorizeLib.app import cli

    try:
        return cli.main(words)
    except ImportError as error:
        requirements = os.path.join(MODULE, "Resources", "requirements.txt")
        sys.stderr.write(
            f"MedColorize: the Python package '{error.name}' is missing. "
            f"Install it: {sys.executable} -m pip install -r {requirements}\n"
        )
        return 5


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except SystemExit as leaving:  # argparse: wrong words, or --help
        code = leaving.code if isinstance(leaving.code, int) else 2
    sys.stdout.flush()
    sys.exit(code)
