"""Where a new instance goes: pure functions over an immutable snapshot, and the ledger of reservations."""
