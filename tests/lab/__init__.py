"""Real LXD and Incus daemons on one machine, as if on several: `python -m tests.lab up`."""
