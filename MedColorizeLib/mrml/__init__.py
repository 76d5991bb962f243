"""The only room that imports `slicer` and `vtk`: volume nodes, volume rendering, scenes, tables and plots.

Not for: windows and widgets (the panel holds those).
"""
