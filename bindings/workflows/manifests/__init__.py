"""Workflows written as YAML or JSON: read with every problem at its place, drawn as a graph, run on the same engine."""
