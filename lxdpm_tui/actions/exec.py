"""One command on many instances, a few at once on each host, with the output and exit code of each."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError, Param, registry
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.hosts.exec import Session
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

KEEP = 64 << 10  # bytes kept of each stream of each instance, its end
KEEP_ALL = 4 << 20  # bytes kept of all together


class Tail:
    """The last bytes of a stream."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._data = bytearray()
        self.lost = 0  # bytes that were there before

    def add(self, data: bytes) -> None:
        self._data += data
        over = len(self._data) - self._keep
        if over > self._keep // 4:  # not at every piece: each cut moves all that is kept
            self._cut(over)

    def _cut(self, over: int) -> None:
        del self._data[:over]
        self.lost += over

    @property
    def text(self) -> str:
        if len(self._data) > self._keep:
            self._cut(len(self._data) - self._keep)
        return self._data.decode(errors="replace")


@registry.action(
    "exec",
    "Run one command in instances, and keep the output and exit code of each",
    Param("instances", "NAME or HOST:NAME, one or more", positional=True, required=True, many=True,
          complete="instance"),
    Param("run", "the command, its words quoted as for a shell; no shell reads it", required=True),
    Param("project", "the project", default="default", complete="project"),
    Param("environment", "KEY=VALUE, may be repeated", kind="mapping"),
    Param("user", "run as this user id", kind="integer"),
    Param("group", "run as this group id", kind="integer"),
    Param("cwd", "directory to run in", default=""),
    Param("per_host", "how many at once on each host", kind="integer", default=4),
    Param("timeout", "seconds that each gets; 0 for no limit", kind="integer", default=600),
    Param("stop_after", "begin no more after so many have failed; 0 for all", kind="integer", default=0),
    subject="instance",
)  # fmt: skip
async def run_in(
    manager: Manager,
    *,
    instances: Sequence[str],
    run: str,
    project: str,
    environment: Mapping[str, str],
    user: int | None,
    group: int | None,
    cwd: str,
    per_host: int,
    timeout: int,
    stop_after: int,
) -> Task:
    """metadata["exec"]: by "HOST:NAME" {"return": exit code or None, "stdout", "stderr": the ends of the output,
    "lost": bytes of output not kept, "seconds", "error": why it could not be run}."""
    words = words_of(run)
    if per_host < 1 or timeout < 0 or stop_after < 0:
        raise ActionError("per_host must be 1 or more, timeout and stop_after 0 or more")
    rows = list({row.key: row for row in (resolve.instance(manager, ref, project) for ref in instances)}.values())
    keep = min(KEEP, KEEP_ALL // (2 * len(rows)))
    limits = {row.host: asyncio.Semaphore(per_host) for row in rows}
    results: dict[str, dict[str, Any]] = {}
    task = Task(
        kind="exec",
        description="Executing command",
        project=project,
        resources={"instances": [f"/1.0/instances/{quote(row.name, safe='')}" for row in rows]},
        metadata={"command": words, "exec": results},
        hosts={_label(row): {"status": "waiting"} for row in rows},
        owner=manager.caller,
    )
    failed: list[str] = []

    async def one(row: Instance, task: Task) -> None:
        label = _label(row)
        async with limits[row.host]:
            if stop_after and len(failed) >= stop_after:
                task.update(host=label, status="not begun", error=f"{len(failed)} failed before")
                return
            task.update(host=label, status="running")
            found = await run_one(manager, row, words, keep, timeout, environment, user, group, cwd)
            results[label] = found
            good = found["return"] == 0
            error = found["error"] or f"exit code {found['return']}"
            if not good:
                failed.append(f"{label}: {error}")
            task.update(host=label, status="done" if good else "failed", error="" if good else error)

    async def work(task: Task, journal: Journal) -> None:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row, task))
        left = len(rows) - len(results)
        if failed:
            skipped = f", {left} not begun" if left else ""
            raise ActionError(f"{len(failed)} of {len(rows)} failed{skipped}: " + "; ".join(failed[:5]), 500)

    return await manager.tasks.start(task, work)


def words_of(line: str) -> list[str]:
    """The command of a line quoted as for a shell. Raises ActionError."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ActionError(f"exec: {error}".lower()) from error
    if not words:
        raise ActionError("exec needs a command")
    return words


async def run_one(
    manager: Manager,
    row: Instance,
    words: Sequence[str],
    keep: int,
    timeout: int,
    environment: Mapping[str, str],
    user: int | None,
    group: int | None,
    cwd: str,
) -> dict[str, Any]:
    """One instance's part of the result; never raises for what the instance or its host does."""
    from lxdpm_tui.hosts.exec import execute  # brings HTTP along, which the list of actions does without

    streams = {"1": Tail(keep), "2": Tail(keep)}
    began = time.monotonic()
    code: int | None = None
    error = ""
    try:
        async with asyncio.timeout(timeout or None):
            async with execute(
                manager.fleet.hosts[row.host], row.name, words, project=row.project, environment=environment,
                user=user, group=group, cwd=cwd
            ) as session:  # fmt: skip
                await session.send_end()
                await asyncio.gather(*(_keep(session, name, tail) for name, tail in streams.items()))
                code = await session.ended(None)
    except TimeoutError:
        error = f"it did not end within {timeout} s"
    except ApiError as refusal:
        error = refusal.text
    except HostError as lost:
        error = str(lost)
    return {
        "return": code,
        "stdout": streams["1"].text,
        "stderr": streams["2"].text,
        "lost": streams["1"].lost + streams["2"].lost,
        "seconds": round(time.monotonic() - began, 3),
        "error": error,
    }


async def _keep(session: Session, name: str, tail: Tail) -> None:
    while data := await session.receive(name):
        tail.add(data)


def _label(row: Instance) -> str:
    return f"{row.host}:{row.name}"
