"""Plans on the command line: shown before they run, saved to a file, and what came of them saved again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lxdpm_tui.actions.plan import Plan, State, read
from lxdpm_tui.cli.run import Failure, say, tell


def only_shown(arguments: argparse.Namespace) -> bool:
    """Whether the plan is wanted, not its run."""
    if arguments.action == "run":
        return bool(arguments.dry_run)
    return bool(getattr(arguments, "show_plan", False) or getattr(arguments, "save", None))


def text_of_file(file: str) -> str:
    """The plan of this machine's file, for a manager that may be in another process. Raises Failure."""
    try:
        return Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {getattr(error, 'strerror', None) or error}") from error


def show(plan: Plan, arguments: argparse.Namespace) -> int:
    """Print what would be sent, one call a line: wave, host, call. And save it where that is asked for."""
    if arguments.save and arguments.action != "run":
        _write(arguments.save, plan)
    if arguments.json:
        tell(json.dumps(plan.to_dict(), indent=2))
        return 0
    calls = list(plan.calls())
    width = max((len(item.host) for item, _ in calls), default=0)
    for item, call in calls:
        wave = str(item.wave) if item.wave else "canary"
        tell(f"{wave:<6}  {item.host:<{width}}  {call.text(item.project)}")
    limits = plan.limits
    left = len(plan.items) - len(plan.of(State.DONE, State.SKIPPED))
    parts = [f"{plan.about}: {left} on {len(plan.hosts)} hosts in {len(plan.waves)} waves"]
    parts.append(f"{limits.per_host} at once on a host, {limits.at_once} in the fleet, on error {limits.on_error}")
    say("; ".join(parts))
    return 0


def keep(operation: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Save the plan as it ended, so that running the file again does what failed."""
    plan = (operation.get("metadata") or {}).get("plan")
    if plan and getattr(arguments, "save", None):
        _write(arguments.save, read(plan))


def _write(file: Path, plan: Plan) -> None:
    try:
        file.write_text(plan.to_json())
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    say(f"the plan is in {file}; lxdpm-tui run {file}")
