"""Widgets, one per file, each with its own CSS."""
