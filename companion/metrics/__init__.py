"""Measures that more than one room needs: distances, intervals, operations, judges."""
