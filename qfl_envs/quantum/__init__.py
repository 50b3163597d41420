"""Variational circuits, defined once and executed in two ways."""
