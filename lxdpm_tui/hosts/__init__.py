"""One daemon: how to reach it and how it speaks."""
