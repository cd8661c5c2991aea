"""Full screens and dialogs, one per file, each with its CSS beside it."""
