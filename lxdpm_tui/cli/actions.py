"""Actions from the command line: by a manager of its own, or by the one that serves from this state directory."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from lxdpm_tui.actions.plan import Plan, read
from lxdpm_tui.actions.registry import ActionError, Danger, registry
from lxdpm_tui.cli import plans
from lxdpm_tui.cli.commands import arguments_of
from lxdpm_tui.cli.run import Failure, open_manager, paths_of, say, tell
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.manager import AlreadyRunning, Manager, caller, take_lock
from lxdpm_tui.tasks.task import Status

WAIT_FOR_HOSTS = 8.0  # seconds that hosts have to be read before an action is tried


class Door(Protocol):
    """What a command needs of a manager, here or in another process."""

    async def run(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The ended operation. Raises ActionError when the action was refused."""
        ...

    async def plan(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]: ...

    async def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Plan:
        """The calls that an action would make. Raises ActionError."""
        ...

    async def strategy(self, wanted: str | None) -> str: ...


class Own:
    """A manager in this process."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def run(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        task = await self._manager.run(action, **arguments)
        shown: dict[str, str] = {}

        def progress(_: object) -> None:
            for host, state in task.hosts.items():
                text = f"{state.get('status', '')} {state.get('progress', '')}".strip()
                if shown.get(host) != text:
                    shown[host] = text
                    say(f"{host}: {text}")

        task.subscribe(progress)
        progress(task)
        try:
            await task.wait()
        finally:
            if not task.status.final and task.cancel():
                say("cancelling; what was done is undone")
                await task.wait()
        return task.to_operation()

    async def plan(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        return await self._manager.preview(**arguments)

    async def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Plan:
        return await self._manager.plan_of(action, arguments)

    async def strategy(self, wanted: str | None) -> str:
        if wanted:
            await self._manager.set_strategy(wanted)
        return str(self._manager.scheduler.strategy)


class Served:
    """The manager that serves on this state directory's socket."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def run(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        reply = await self._host.request("POST", f"/1.0/fleet/actions/{action}", json=dict(arguments))
        with contextlib.suppress(ApiError):  # it ended as a failure: the operation itself says how
            await self._host.wait(reply.operation)
        found: dict[str, Any] = await self._host.get(reply.operation)
        return found

    async def plan(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        reply = await self._host.request("POST", "/1.0/fleet/plan", json=dict(arguments))
        found: list[dict[str, Any]] = reply.metadata
        return found

    async def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Plan:
        reply = await self._host.request("POST", f"/1.0/fleet/plan/{action}", json=dict(arguments))
        return read(reply.metadata)

    async def strategy(self, wanted: str | None) -> str:
        if wanted:
            await self._host.request("PUT", "/1.0/planner", json={"state": wanted})
        return str(await self._host.get("/1.0/planner"))


@contextlib.asynccontextmanager
async def door(arguments: argparse.Namespace, hosts_needed: bool = True) -> AsyncIterator[Door]:
    """The running manager of the state directory if it serves, else one of our own for this command."""
    paths = paths_of(arguments)
    if arguments.connect:
        from lxdpm_tui.cli import attach

        server = await asyncio.to_thread(attach.server_of, arguments)
        async with attach.attached(arguments, server) as manager:
            missing = await manager.fleet.until_known(WAIT_FOR_HOSTS)
            reasons = [
                f"{name}: {manager.inventory.hosts[name].reason or 'no answer'}" for name in manager.fleet.silent()
            ]
            if not manager.fleet.usable():
                raise Failure("; ".join(reasons or missing))
            yield Own(manager)
        return
    if arguments.demo is None and paths.lock_file.exists():
        try:
            import os

            os.close(take_lock(paths))
        except AlreadyRunning as running:
            from lxdpm_tui.cli import attach

            host = Host(replace(await attach.running_here(paths, str(running)), name=""))
            try:
                yield Served(host)
            finally:
                await host.close()
            return
    async with open_manager(arguments) as manager:
        if hosts_needed:
            missing = await manager.fleet.until_known(WAIT_FOR_HOSTS)
            if missing:
                say(f"no answer yet from {', '.join(missing)}; going on without")
        yield Own(manager)


async def action(arguments: argparse.Namespace) -> int:
    """Run one action to its end. 0 when it succeeded."""
    caller.set("command line")
    chosen = registry.actions[arguments.action]
    try:
        given = arguments_of(chosen, arguments)
        if chosen.name in ("file-push", "file-pull"):
            local_paths(given)
    except ValueError as error:
        raise Failure(str(error), 2) from error
    dry = arguments.command == "plan"
    shown = not dry and plans.only_shown(arguments)
    if chosen.name == "run":
        given["plan"] = plans.text_of_file(given["plan"])
    if chosen.name in ("run", "bulk"):
        given.setdefault("on_error", "stop")  # nobody is here to tell a paused one to go on
    if not dry and not shown and chosen.danger is not Danger.NONE and not arguments.yes:
        _confirm(chosen.name, given)
    try:
        async with door(arguments) as manager:
            if dry:
                given.pop("no_start", None)
                return _show_plan(await manager.plan(given), arguments.json)
            if shown:
                return plans.show(await manager.plan_of(chosen.name, given), arguments)
            operation = await manager.run(chosen.name, given)
    except (ActionError, ApiError, HostError, ValueError) as error:
        raise Failure(str(error)) from error
    plans.keep(operation, arguments)
    return _show(operation, arguments.json)


async def planner(arguments: argparse.Namespace) -> int:
    try:
        async with door(arguments, hosts_needed=False) as manager:
            chosen = await manager.strategy(arguments.strategy)
    except (ApiError, HostError) as error:
        raise Failure(str(error)) from error
    tell(json.dumps({"strategy": chosen}) if arguments.json else chosen)
    return 0


def local_paths(given: dict[str, Any]) -> None:
    """Make paths on this machine whole: the manager may be another process, elsewhere in the tree."""
    for name in ("source",) if "source" in given else ("to",):
        given[name] = str(Path(given.get(name) or ".").expanduser().absolute())


def _confirm(name: str, given: Mapping[str, Any]) -> None:
    """Ask on the terminal. Raises Failure when the answer is no, or nobody can be asked."""
    subject = given.get("instances") or given.get("instance") or given.get("name") or given.get("fingerprint") or ""
    what = " ".join(subject) if isinstance(subject, list) else str(subject)
    if not sys.stdin.isatty():
        raise Failure(f"{name} {what}: not done without --yes", 2)
    say(f"{name} {what} (project {given.get('project', 'default')})? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was done")


def _show(operation: dict[str, Any], as_json: bool) -> int:
    done = int(operation["status_code"]) == Status.SUCCESS
    if as_json:
        tell(json.dumps(operation, indent=2))
    elif (operation.get("metadata") or {}).get("exec"):
        show_outputs(operation)
    elif done:
        metadata = operation.get("metadata") or {}
        placed = metadata.get("placement") or ()
        for one in placed:
            tell(f"{one['instance']} on {one['chosen']}")
        if not placed and metadata.get("fingerprint"):
            tell(str(metadata["fingerprint"]))
    if not done:
        say(operation.get("err") or operation["status"])
    return 0 if done else 1


def show_outputs(operation: dict[str, Any]) -> None:
    """The output of a command in several instances: standard output to ours, with a heading each; errors to stderr."""
    for label, found in sorted(operation["metadata"]["exec"].items()):
        code = "" if found["return"] in (0, None) else f" (exit code {found['return']})"
        tell(f"── {label}{code}")
        if found["stdout"]:
            tell(found["stdout"].rstrip("\n"))
        for line in (found["stderr"] + found["error"]).splitlines():
            say(f"{label}: {line}")


def _show_plan(decisions: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        tell(json.dumps(decisions, indent=2))
    for decision in () if as_json else decisions:
        tell(f"{decision['instance']}: {decision['chosen'] or 'nowhere'} (by {decision['strategy']})")
        for host in decision["hosts"]:
            score = "-" if host["score"] is None else f"{host['score']:.3g}"
            tell(f"  {host['host']:<20} {score:>10}  {host['reason']}".rstrip())
    return 0 if all(decision["chosen"] for decision in decisions) else 1
