"""Many daemons as one: the registry of hosts, the live model, and what keeps it true."""
