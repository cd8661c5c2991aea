"""Creating where the whole fleet is one cluster that is not ours: its own scheduler places what names no member."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.create import PER_HOST, DoesNotStart, Plan, resource_url, start_instance
from lxdpm_tui.actions.create_send import send
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

THE_CLUSTERS_OWN = "the cluster's own"  # what stands where a strategy is named


async def create(manager: Manager, plans: list[Plan], *, start: bool, owner: str) -> Task:
    """As actions.create.create, without a decision of ours. Raises ActionError 503 when no member can be asked."""
    members = manager.fleet.usable()
    if not members:
        raise ActionError(f"No host can take it: cannot ask {', '.join(manager.inventory.hosts)}", 503)
    names = [plan.request.instance for plan in plans]
    claims = [(plan.project, plan.request.instance) for plan in plans]
    manager.claims.update(claims)
    task = Task(
        kind="launch",
        description="Creating instance",
        project=plans[0].project,
        resources={"instances": [resource_url("instances", plan) for plan in plans]},
        metadata={
            "placement": [
                {"instance": name, "chosen": None, "strategy": THE_CLUSTERS_OWN, "hosts": []} for name in names
            ]
        },
        owner=owner,
    )
    limit = asyncio.Semaphore(PER_HOST * len(members))

    async def one(journal: Journal, plan: Plan) -> Exception | None:
        async with limit:
            try:
                host = await _create(manager, task, journal, plan, manager.fleet.usable() or members)
                if start:
                    await start_instance(manager, task, plan, host)
            except (ApiError, HostError, ActionError) as error:
                return error
            finally:
                await resolve.forget_gone(manager, plan.project, plan.request.instance)
            task.update(host=host, status="done")
            return None

    async def run(task: Task, journal: Journal) -> None:
        try:
            results = await asyncio.gather(*(one(journal, plan) for plan in plans))
        finally:
            manager.claims.difference_update(claims)
        errors = [error for error in results if error is not None]
        if len(errors) < len(plans) or any(isinstance(error, DoesNotStart) for error in errors):
            await journal.commit()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            words = "; ".join(str(error) for error in errors[:5])
            raise ActionError(f"{len(errors)} of {len(plans)} failed: {words}", 500)

    try:
        return await manager.tasks.start(task, run, journal=True)
    except BaseException:
        manager.claims.difference_update(claims)
        raise


async def _create(manager: Manager, task: Task, journal: Journal, plan: Plan, members: list[str]) -> str:
    """Through any member; gives the host that the cluster chose."""
    name, through = plan.request.instance, members[0]
    mark = str(uuid.uuid4())
    step = await journal.intend(
        through, "instance.absent", {"host": through, "project": plan.project, "name": name, "uuid": mark}
    )
    try:
        params = {"project": plan.project, "target": ""}  # nobody's: the cluster chooses
        await send(manager, task, through, plan.body, params, mark)
    except ApiError:
        await journal.settle(step)
        raise
    await manager.fleet.watch(through).read_now("instances", Key(through, plan.project, name))
    found = manager.inventory.find_instances(plan.project, name)
    host = found[0].host if found else through
    placement = next(p for p in task.metadata["placement"] if p["instance"] == name)
    placement["chosen"] = host
    task.update(host=host, status="created", instance=name)
    return host
