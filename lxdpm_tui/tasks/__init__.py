"""Work that outlives a request: progress, cancel, journal, undo."""
