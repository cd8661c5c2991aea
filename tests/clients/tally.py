"""How many commands of each client passed on a plain daemon, and how many on the fleet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Count:
    commands: int = 0
    plain: int = 0
    fleet: int = 0
    fleet_only: int = 0
    runs: int = 0  # of commands on the fleet: those of one instance run for two hosts


_counts: dict[str, Count] = {}


def count(program: str) -> Count:
    return _counts.setdefault(program, Count())


def lines() -> list[str]:
    """One line a client, such as "lxc: 300 commands, plain 300 passed, fleet 300 passed (...)"."""
    return [
        f"{program}: {c.commands} commands, plain {c.plain} passed, fleet {c.fleet} passed"
        f" ({c.runs} runs on the fleet; {c.fleet_only} more commands have no plain daemon to compare with)"
        for program, c in sorted(_counts.items())
    ]
