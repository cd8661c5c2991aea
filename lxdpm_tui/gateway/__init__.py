"""The LXD-compatible server."""
