"""The keys that move the cursor of a live table."""

from __future__ import annotations

from textual.binding import Binding

MOVES = [
    Binding("up,k", "move(-1)", show=False),
    Binding("down,j", "move(1)", show=False),
    Binding("shift+up", "move(-1, True)", show=False),
    Binding("shift+down", "move(1, True)", show=False),
    Binding("pageup", "page(-1.0)", show=False),
    Binding("pagedown", "page(1.0)", show=False),
    Binding("ctrl+u", "page(-0.5)", show=False),
    Binding("ctrl+d", "page(0.5)", show=False),
    Binding("home,g", "edge(False)", show=False),
    Binding("end,G", "edge(True)", show=False),
]
