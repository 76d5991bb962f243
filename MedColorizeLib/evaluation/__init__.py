"""Metrics, slice-to-slice consistency, the report, the tables of the papers.

Not for: colouring, and never for diagnosis.
"""
