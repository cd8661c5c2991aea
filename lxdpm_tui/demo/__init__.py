"""Simulated daemons, for --demo, scale and faults; held to the same contract tests as real ones."""
