"""Parts of the MedColorize panel: one file per tab, the worker process, and what differs between Slicer versions.

Written for Python 3.9 and up, because the panel also loads in older applications; the work is MedColorizeLib's.
"""
