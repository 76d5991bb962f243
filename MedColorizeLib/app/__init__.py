"""The command line, the worker protocol and batch work: doors, not rooms.

Not for: anything a notebook could want (the other rooms hold that).
"""
