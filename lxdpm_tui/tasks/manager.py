"""Runs tasks, undoes what failed or was cancelled, and takes up after a crash what the journal tells of.

A clean stop cancels what runs and undoes it for a bounded time; what cannot be undone by then (a host is down) stays
in the journal and is taken up at the next start, just as after SIGKILL.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.store import JournalRow, Store, StoreError
from lxdpm_tui.tasks.journal import Journal, task_of
from lxdpm_tui.tasks.task import Status, Task

log = logging.getLogger(__name__)

Runner = Callable[[Task, Journal], Awaitable[None]]
UndoHandler = Callable[[dict[str, Any]], Awaitable[None]]
Listener = Callable[[Task], None]

SETTLE = 1.0  # seconds in which a host works upon what was sent to it by somebody who did not wait for the answer
UNDO_TRIES = 3  # of a host that answers with an error; one that does not answer is waited for
HISTORY = 30 * 86400.0  # seconds that ended tasks are kept in the store
STOPPED = "the manager was stopped"


class TaskManager:
    """All tasks of the fleet. One event loop owns it.

    tasks: by id, running ones and those that ended less than `keep` seconds ago.
    undo_handlers: name -> coroutine function that takes a step back, given the step's args ("host" and "task" among
    them). It is idempotent and checks the state first; it raises HostError to be called again when the host is back,
    anything else to be tried UNDO_TRIES times and then kept as failed.
    until_usable: waits until a host can be asked again.
    closing: no new tasks are taken.
    elsewhere: gives the newest ended tasks that another process keeps.
    """

    def __init__(
        self,
        store: Store,
        until_usable: Callable[[str], Awaitable[object]] | None = None,
        *,
        keep: float = 300.0,
        first_wait: float = 0.5,
        longest_wait: float = 5.0,
        settle: float = SETTLE,
    ) -> None:
        self.tasks: dict[str, Task] = {}
        self.undo_handlers: dict[str, UndoHandler] = {}
        self._store = store
        self._until_usable = until_usable
        self._keep, self._first_wait, self._longest_wait = keep, first_wait, longest_wait
        self._settle = settle
        self.elsewhere: Callable[[int], Awaitable[list[Task]]] | None = None
        self._listeners: list[Listener] = []
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.closing = False
        self._abandon = False

    async def start(self, task: Task, runner: Runner, *, journal: bool = False, finish: bool = False) -> Task:
        """Run it in the background and return it.

        The runner returning means Success (and commits). It raising means that journalled steps are undone, then
        Failure with the error's text; task.cancel() cancels it, undoes, and ends Cancelled.
        journal: the task is on the disk before it begins; else from its first step on, or once it has ended.
        finish: after a crash its steps are carried out rather than taken back, and nothing is undone.
        Raises StoreError when the journal cannot be written.
        """
        if self.closing:
            raise StoreError(STOPPED)
        own = Journal(self._store, task, finish=finish)
        self.tasks[task.id] = task  # before the first await: who asks what is under way must see it
        if journal:
            try:
                await self._store.save_task(own.row())
            except BaseException:
                del self.tasks[task.id]
                raise
        self._run(task, self._work(task, runner, own))
        return task

    def adopt(self, task: Task, forgotten: Callable[[], object]) -> None:
        """Show a task that runs in another process; whoever adopts it brings it up to date.

        forgotten: called `keep` seconds after its end, when it is shown no more.
        """
        self.tasks[task.id] = task

        def tell(task: Task) -> None:
            self._tell(task)
            if task.status.final and task.id not in self._timers and not self.closing:
                loop = asyncio.get_running_loop()
                self._timers[task.id] = loop.call_later(self._keep, forget)

        def forget() -> None:
            self._forget(task.id)
            forgotten()

        task.subscribe(tell)
        tell(task)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call listener at every change of any task; it must be quick and must not raise. Returns undo."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def history(self, limit: int = 100) -> list[Task]:
        """The newest first: live ones, and ended ones out of the store."""
        kept = {row.id: task_of(row) for row in await self._store.list_tasks(limit)}
        if self.elsewhere is not None:
            kept |= {task.id: task for task in await self.elsewhere(limit)}
        return sorted({**kept, **self.tasks}.values(), key=lambda task: -task.created)[:limit]

    async def recover(self) -> list[Task]:
        """At start: take up every task that had not ended. Returns them at once; they go on in the background."""
        await self._store.prune_tasks(time.time() - HISTORY)
        found = []
        for row in await self._store.open_tasks():
            task = task_of(row)
            steps = await self._store.list_steps(row.id)
            journal = Journal(self._store, task, finish=row.finish, steps=steps, committed=row.committed)
            self._run(task, self._resume(task, journal))
            found.append(task)
        return found

    async def retry_undo(self, id: str) -> Task:
        """Try again the steps of an ended task whose undo had failed. Raises KeyError when there are none."""
        row = await self._store.get_task(id)
        steps = [step for step in await self._store.list_steps(id) if step.undone is None and step.error]
        if row is None or not steps:
            raise KeyError(id)

        async def runner(task: Task, journal: Journal) -> None:
            failed = await self._undo(task, Journal(self._store, task, steps=steps))
            if failed:
                raise UndoFailed("; ".join(failed))

        task = Task("undo", f"Undoing again: {row.description}", project=row.project, may_cancel=False)
        return await self.start(task, runner)

    async def close(self, grace: float = 5.0) -> None:
        """Cancel and undo what runs, for at most `grace` seconds; the rest waits in the journal for the next start."""
        self.closing = True
        for id in self._runs:
            self.tasks[id].cancel(force=True)
        if self._runs:
            _, late = await asyncio.wait(set(self._runs.values()), timeout=grace)
            self._abandon = True
            for run in late:
                run.cancel()
            if late:
                await asyncio.wait(late)
        for timer in self._timers.values():
            timer.cancel()

    # -- running

    def _run(self, task: Task, work: Coroutine[Any, Any, None]) -> None:
        self.tasks[task.id] = task
        task.subscribe(self._tell)
        run = asyncio.create_task(work, name=f"task {task.kind} {task.id}")
        self._runs[task.id] = run
        run.add_done_callback(lambda _: self._after(task))
        self._tell(task)

    def _after(self, task: Task) -> None:
        self._runs.pop(task.id, None)
        if not self.closing:
            loop = asyncio.get_running_loop()
            self._timers[task.id] = loop.call_later(self._keep, self._forget, task.id)

    def _forget(self, id: str) -> None:
        self.tasks.pop(id, None)
        self._timers.pop(id, None)

    def _tell(self, task: Task) -> None:
        for listener in tuple(self._listeners):
            listener(task)

    async def _work(self, task: Task, runner: Runner, journal: Journal) -> None:
        status, error, code = Status.SUCCESS, "", 0
        unanswered = False
        try:
            await self._until_done(task, runner, journal)
            if journal.steps and not journal.committed:
                await journal.commit()
        except asyncio.CancelledError:
            if self._abandon or (self.closing and journal.finish):
                raise  # left as it is for the next start
            if not task.cancelled:
                me = asyncio.current_task()
                if me is not None and me.cancelling():
                    raise
                status, error, code = Status.FAILURE, "internal error: cancelled by nobody", 500
            elif not await journal.settled():
                status, error, code = Status.CANCELLED, STOPPED if self.closing else "cancelled", 400
        except Exception as caught:
            status, unanswered = Status.FAILURE, isinstance(caught, HostError)
            error, code = explain(caught)
            await journal.settled()
        task.may_cancel = False
        if status is not Status.SUCCESS and not journal.committed and not journal.finish:
            failed = await self._undo(task, journal, twice=unanswered or task.cancelled)
            error = "; ".join([error, *failed])
        await self._end(task, journal, status, error, code)

    async def _until_done(self, task: Task, runner: Runner, journal: Journal) -> None:
        if not task.cancelled:
            task.update(status=Status.RUNNING)
        work = asyncio.ensure_future(runner(task, journal))
        cancelled = asyncio.create_task(task.until_cancelled())
        try:
            await asyncio.wait({work, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        work.result()

    async def _resume(self, task: Task, journal: Journal) -> None:
        if journal.committed:
            await self._end(task, journal, Status.SUCCESS)
            return
        failed = await self._undo(task, journal)
        if journal.finish and journal.steps:
            await self._end(task, journal, Status.FAILURE if failed else Status.SUCCESS, "; ".join(failed))
            return
        if journal.steps:
            text = f"{STOPPED} in the middle of it; " + ("; ".join(failed) or "what had been done was undone")
        else:
            text = f"{STOPPED} before anything was changed"
        await self._end(task, journal, Status.FAILURE, text, 500)

    async def _end(self, task: Task, journal: Journal, status: Status, error: str = "", code: int = 0) -> None:
        row = replace(journal.row(ended=True), status=int(status), error=error, error_code=code)
        try:
            # On the disk before anybody is told.
            await self._store.save_task(row)
        except StoreError:
            log.exception("task %s ended as %s, which could not be kept", task.id, status.text)
        task.finish(status, error, code)

    # -- undo

    async def _undo(self, task: Task, journal: Journal, twice: bool = False) -> list[str]:
        """Take back all steps: each host's in reverse order, hosts side by side. Gives what could not be, as text.

        twice: something was sent of which no answer was awaited: a host may work upon it after the first look, so that
        there is a second one. A host that falls silent meanwhile has one in any case.
        """
        hosts: dict[str, list[JournalRow]] = {}
        for step in reversed(journal.steps):
            if step.undone is None:
                hosts.setdefault(step.host, []).append(step)
        if not hosts:
            return []
        doing: dict[str, str] = dict.fromkeys(hosts, "")
        word = "finishing" if journal.finish else "undoing"
        done = "done" if journal.finish else "undone"

        def show(host: str, waits_for: str | None) -> None:
            if waits_for is None:
                doing.pop(host, None)
            else:
                doing[host] = waits_for
                task.update(host=host, status="waiting" if waits_for else word, waits_for=waits_for)
            parts = [f"{word} on {h}" + (f", waits for {w}" if w else "") for h, w in sorted(doing.items())]
            task.update(metadata={"undo": "; ".join(parts)})

        async def one_host(host: str, steps: list[JournalRow]) -> list[str]:
            show(host, "")
            again = twice and not journal.finish

            def waits(waits_for: str) -> None:
                nonlocal again
                again = again or bool(waits_for)
                show(host, waits_for)

            failed = await self._undo_steps(steps, word, waits)
            if again:
                await asyncio.sleep(self._settle)
                failed = await self._undo_steps(steps, word, waits)
            task.update(
                host=host, status=f"{word} failed" if failed else done, waits_for="", undo_error="; ".join(failed)
            )
            show(host, None)
            return failed

        results = await asyncio.gather(*(one_host(host, steps) for host, steps in hosts.items()))
        return [text for failed in results for text in failed]

    async def _undo_steps(self, steps: list[JournalRow], word: str, waits: Callable[[str], None]) -> list[str]:
        """Gives what could not be taken back, as text."""
        failed = []
        for step in steps:
            try:
                error = await self._undo_step(step, waits)
                await (self._store.step_failed(step.id, error) if error else self._store.step_undone(step.id))
            except StoreError as broken:
                error = str(broken)
            if error:
                failed.append(f"{word} {step.undo} failed: {error}")
        return failed

    async def _undo_step(self, step: JournalRow, waits: Callable[[str], None]) -> str:
        """Gives "" when the step is taken back, else why it cannot be."""
        wait, tries = self._first_wait, 0
        while True:
            try:
                handler = self.undo_handlers[step.undo]
                await handler(dict(step.args))
                return ""
            except HostError as error:
                host = error.host or step.host
                waits(f"{host}: {error.reason}")
                try:
                    if self._until_usable is not None:
                        await self._until_usable(host)
                except (LookupError, HostError) as gone:
                    return f"{host}: {gone}"
            except Exception as error:
                tries += not (isinstance(error, ApiError) and error.code == 503)
                if tries >= UNDO_TRIES:
                    return explain(error)[0]
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            waits("")
            wait = min(wait * 2, self._longest_wait)


class UndoFailed(Exception):
    """What a second try of an undo came to."""

    code = 500


def explain(error: Exception) -> tuple[str, int]:
    """(text for people, HTTP status) of what a runner or an undo handler raised."""
    if isinstance(error, HostError):
        return str(error), 503
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return str(error), code
    log.error("a task failed unexpectedly", exc_info=error)
    return f"internal error: {type(error).__name__}: {error}", 500
