"""Figures in the application's own table and plot views. Not for what the figures mean."""

import numpy as np
import slicer


def tableNode(name, columns):
    """A table node of that name with these `{title: values}`; one of the same name is filled anew."""
    scene = slicer.mrmlScene
    node = scene.GetFirstNodeByName(name)
    if node is None or not node.IsA("vtkMRMLTableNode"):
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for title, values in columns.items():
            text = any(isinstance(value, str) for value in values)
            array = node.AddColumn(_column(title, values, text))
            array.SetName(title)
        node.GetTable().SetNumberOfRows(max([len(values) for values in columns.values()] + [0]))
        node.Modified()
    return node


def _column(title, values, text):
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    if text:
        array = vtk.vtkStringArray()
        for value in values:
            array.InsertNextValue(str(value))
    else:
        numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        array = numpy_to_vtk(numbers, deep=True)
    array.SetName(title)
    return array


def plotChart(name, table, x, curves, xTitle, yTitle):
    """A chart node with one line a curve: columns of a table over its column `x`."""
    scene = slicer.mrmlScene
    chart = scene.GetFirstNodeByName(name)
    if chart is None or not chart.IsA("vtkMRMLPlotChartNode"):
        chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", name)
    chart.RemoveAllPlotSeriesNodeIDs()
    for column in curves:
        seriesName = f"{name}: {column}"
        series = scene.GetFirstNodeByName(seriesName)
        if series is None or not series.IsA("vtkMRMLPlotSeriesNode"):
            series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", seriesName)
            series.SetUniqueColor()
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(x)
        series.SetYColumnName(column)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle(name)
    chart.SetXAxisTitle(xTitle)
    chart.SetYAxisTitle(yTitle)
    return chart


def showTable(table):
    """Open the table view with a table."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActiveTableID(table.GetID())
    logic.PropagateTableSelection()


def showChart(chart):
    """Open the plot view with a chart."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActivePlotChartID(chart.GetID())
    logic.PropagatePlotChartSelection()
