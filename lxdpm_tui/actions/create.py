"""Making instances: resolve, choose the host, reserve, create, and try the next-best host when one fails.

Both doors end here: `launch` (console, command line) and POST /1.0/instances (gateway) differ only in who writes the
body.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import images, resolve
from lxdpm_tui.actions.create_send import send
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Image, Key
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError
from lxdpm_tui.scheduler.ledger import TTL
from lxdpm_tui.scheduler.model import Decision, Needs, Request, Reservation, Strategy
from lxdpm_tui.scheduler.needs import request_needs
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

log = logging.getLogger(__name__)

ALIVE = Deadlines(connect=4.0, first_byte=4.0, idle=4.0)  # as long as for a heartbeat
PER_HOST = 2  # instances of one launch that a host makes at a time; more of them make it no quicker

# What a host says when the request is wrong wherever it goes. LXD's operations carry no code, only words.
_REQUEST_IS_BAD = (
    "already exists",
    "unknown configuration key",
    "unknown option",
    "invalid",
    "not a valid",
    "validation failed",
    "missing source",
    "requires",
    "unsupported device type",
)


@dataclass(slots=True)
class Plan:
    """One instance to be made: LXD's body, completed, and what the scheduler is asked.

    image: fingerprint, "" when no image of the fleet is meant.  copies: the hosts' rows of that image.
    """

    body: dict[str, Any]
    project: str
    request: Request
    image: str = ""
    copies: list[Image] = field(default_factory=list)


class DoesNotStart(ActionError):
    """The instance is there and stays, but its start failed."""


def prepare(
    manager: Manager,
    given: Mapping[str, Any],
    project: str,
    targets: frozenset[str] = frozenset(),
    *,
    by_group: bool = False,
) -> Plan:
    """Check LXD's create body and complete it: a name, the fingerprint, what it needs on each host.

    targets, by_group: as in Request.

    Raises ActionError: 400 malformed, 404/503 image, 409 the name is taken.
    """
    body: dict[str, Any] = copy.deepcopy(dict(given))
    name = body.get("name") or ""
    if not isinstance(name, str):
        raise ActionError("name must be a string")
    if name:
        resolve.check_instance_name(name)
        if manager.inventory.find_instances(project, name) or (project, name) in manager.claims:
            raise ActionError(f'Instance "{name}" already exists', 409)
    else:
        name = resolve.free_name(manager, project)
    body["name"] = name
    source = body.get("source")
    if not isinstance(source, dict) or source.get("type") not in ("image", "none", "copy", "migration"):
        raise ActionError('source must be an object with a type: "image", "none", "copy" or "migration"')
    profiles = body.get("profiles")
    if profiles is not None and not (isinstance(profiles, list) and all(isinstance(p, str) for p in profiles)):
        raise ActionError("profiles must be a list of names")
    names = tuple(["default"] if profiles is None else profiles)
    for part in ("config", "devices"):
        if body.get(part) is not None and not isinstance(body[part], dict):
            raise ActionError(f"{part} must be an object")
    fingerprint = ""
    copies: list[Image] = []
    if source["type"] == "image" and not source.get("server"):
        fingerprint, copies = _image(manager, source, project)
        body["source"] = {"type": "image", "fingerprint": fingerprint}
    kind = body.get("type") or (copies[0].type if copies else "") or "container"
    architecture = body.get("architecture") or (copies[0].architecture if copies else "")
    request = Request(
        project=project,
        instance=name,
        type=kind,
        architecture=architecture,
        profiles=names,
        targets=targets,
        by_group=by_group,
        per_host=_needs(manager, body, names, project),
    )
    return Plan(body, project, request, fingerprint, copies)


def _image(manager: Manager, source: Mapping[str, Any], project: str) -> tuple[str, list[Image]]:
    if source.get("fingerprint") or source.get("alias"):
        ref = source.get("fingerprint") or source["alias"]
        if not isinstance(ref, str):
            raise ActionError("fingerprint and alias must be strings")
        return resolve.image(manager, ref, project)
    wanted = source.get("properties")
    if not isinstance(wanted, dict) or not wanted:
        raise ActionError("Must specify one of alias, fingerprint or properties for init from image")
    found = images.by_properties(manager, wanted, project)
    if not found:
        raise resolve.unknown(manager, "Image with these properties")
    newest = max(found, key=lambda row: row.uploaded_at)
    return newest.fingerprint, [row for row in found if row.fingerprint == newest.fingerprint]


def _needs(manager: Manager, body: Mapping[str, Any], names: tuple[str, ...], project: str) -> dict[str, Needs]:
    """Per host, since profiles of one name differ between hosts. Raises ActionError for sizes that are none."""
    needs = {}
    for host, record in manager.inventory.hosts.items():
        rows = manager.inventory.profiles.get(host, {})
        known = {}
        for name in names:
            row = rows.get(Key(host, project, name))
            if row is not None:
                known[name] = (row.config, row.devices)
        try:
            needs[host] = request_needs({**body, "profiles": list(names)}, known, record.memory_total)
        except ValueError as error:
            raise ActionError(str(error)) from error
    return needs


async def create(
    manager: Manager,
    plans: list[Plan],
    *,
    strategy: Strategy | None = None,
    start: bool = False,
    owner: str = "",
) -> Task:
    """Start making the planned instances; the task ends when all are made (and started), or failed.

    Placements are decided at once, before this returns, and each holds its reservation. The decisions are in
    task.metadata["placement"]. Raises ActionError 503 with every host's reason when nothing fits.
    A cluster that is all of the fleet places by itself, unless a member is named.
    """
    if manager.upstream.places and not any(plan.request.targets for plan in plans):
        from lxdpm_tui.actions import there

        if strategy is not None:
            raise ActionError("the cluster places instances by itself: leave the strategy out, or name a member")
        return await there.create(manager, plans, start=start, owner=owner)
    claims = [(plan.project, plan.request.instance) for plan in plans]
    manager.claims.update(claims)
    placed: list[tuple[Plan, Decision, Reservation]] = []
    try:
        for plan in plans:
            decision, reservation = await manager.scheduler.place(plan.request, strategy)
            if reservation is None:
                raise ActionError(refusal(decision), 503)
            placed.append((plan, decision, reservation))
    except BaseException:
        manager.claims.difference_update(claims)
        for _, _, reservation in placed:
            await manager.scheduler.release(reservation)
        raise
    names = [name for _, name in claims]
    task = Task(
        kind="launch",
        description="Creating instance",
        project=plans[0].project,
        resources={
            "instances": [resource_url("instances", plan) for plan in plans],
            "containers": [resource_url("containers", plan) for plan in plans if plan.request.type == "container"],
        },
        metadata={"placement": [{"instance": p.request.instance, **d.to_dict()} for p, d, _ in placed]},
        owner=owner,
    )

    limits = {name: asyncio.Semaphore(PER_HOST) for name in manager.fleet.hosts}

    async def run(task: Task, journal: Journal) -> None:
        errors: list[Exception] = []
        made = 0
        waiting = {reservation.id: reservation for _, _, reservation in placed}

        async def one(plan: Plan, decision: Decision, reservation: Reservation) -> None:
            nonlocal made
            waiting.pop(reservation.id)
            try:
                await _one(manager, task, journal, plan, decision, reservation, strategy, start, limits)
                made += 1
            except DoesNotStart as error:
                errors.append(error)
                made += 1
            except (ApiError, HostError, ActionError) as error:
                errors.append(error)

        try:
            async with asyncio.TaskGroup() as group:
                for each in placed:
                    group.create_task(one(*each))
        except BaseExceptionGroup as unexpected:
            raise unexpected.exceptions[0] from unexpected
        finally:
            manager.claims.difference_update(claims)
            for reservation in waiting.values():
                await manager.scheduler.release(reservation)
        if made:
            await journal.commit()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            words = "; ".join(str(error) for error in errors[:5])
            raise ActionError(f"{len(errors)} of {len(placed)} failed: {words}", 500)

    log.info("launch %s on %s", ", ".join(names), ", ".join(str(d.chosen) for _, d, _ in placed))
    try:
        return await manager.tasks.start(task, run, journal=True)
    except BaseException:
        manager.claims.difference_update(claims)
        for _, _, reservation in placed:
            await manager.scheduler.release(reservation)
        raise


def refusal(decision: Decision) -> str:
    """One line that says of each host why it was left out."""
    reasons = "; ".join(f"{v.host}: {v.reason}" for v in decision.verdicts if v.reason)
    return f"No host can take it: {reasons or 'there are no hosts'}"


async def _one(
    manager: Manager,
    task: Task,
    journal: Journal,
    plan: Plan,
    decision: Decision,
    reservation: Reservation,
    strategy: Strategy | None,
    start: bool,
    limits: Mapping[str, asyncio.Semaphore],
) -> None:
    """Make one instance, on the next-best host when the chosen one fails for reasons of its own."""
    tried: dict[str, str] = {}
    name = plan.request.instance
    while True:
        host = reservation.host
        try:
            async with _renewed(manager, reservation), limits[host]:
                task.update(host=host, status="creating", instance=name)
                await _create_on(manager, task, journal, plan, host)
        except BaseException as error:
            await manager.scheduler.release(reservation)
            if not isinstance(error, ApiError | HostError):
                raise
            tried[host] = error.text if isinstance(error, ApiError) else error.reason
            task.update(host=host, status="failed", error=str(error))
            if isinstance(error, ApiError) and _request_is_bad(error):
                raise
            decision, following = await manager.scheduler.place(replace(plan.request, exclude=tried), strategy)
            task.metadata.setdefault("retries", []).append({"instance": name, **decision.to_dict()})
            if following is None:
                raise
            log.warning("launch %s: %s; next is %s", name, error, following.host)
            reservation = following
        else:
            break
    await manager.scheduler.confirm(reservation)
    placement = next(p for p in task.metadata["placement"] if p["instance"] == name)
    placement["chosen"] = host
    await resolve.read_again(manager, Key(host, plan.project, name))  # the claim of its name ends soon
    if start:
        try:
            async with limits[host]:
                await start_instance(manager, task, plan, host)
        finally:
            await resolve.read_again(manager, Key(host, plan.project, name))
    task.update(host=host, status="done")


async def start_instance(manager: Manager, task: Task, plan: Plan, host: str) -> None:
    """Raises DoesNotStart, and the HostError family."""
    name = plan.request.instance
    task.update(host=host, status="starting", instance=name)
    try:
        await manager.fleet.operate(
            host,
            "PUT",
            f"/1.0/instances/{quote(name, safe='')}/state",
            params={"project": plan.project},
            json={"action": "start", "timeout": -1},
        )
    except ApiError as error:
        raise DoesNotStart(f"{host}: {name} was created, but it does not start: {error.text}", 500) from error


@asynccontextmanager
async def _renewed(manager: Manager, reservation: Reservation) -> AsyncIterator[None]:
    """Keep a reservation alive for as long as the work takes."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(TTL / 3)
            await manager.scheduler.renew(reservation)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()


async def _create_on(manager: Manager, task: Task, journal: Journal, plan: Plan, host: str) -> None:
    """Create on one host. A host that hangs is found before anything is sent, not after."""
    async with manager.fleet.while_usable(host):
        await manager.fleet.hosts[host].request("GET", "/1.0", deadlines=ALIVE)
    if plan.image and not any(copy.host == host for copy in plan.copies):
        task.update(host=host, status="fetching the image")
        await images.make_available(manager, plan.image, plan.project, host)
    mark = str(uuid.uuid4())
    orphan = {"host": host, "project": plan.project, "name": plan.body["name"], "uuid": mark}
    step = await journal.intend(host, "instance.absent", orphan)
    try:
        await send(manager, task, host, plan.body, {"project": plan.project}, mark)
    except HostError:
        await _remove_later(manager, orphan)
        await journal.settle(step)
        manager.inventory.drop("instances", Key(host, plan.project, plan.body["name"]))  # half made: it is nobody's
        raise


async def _remove_later(manager: Manager, orphan: dict[str, str]) -> None:
    """A create that got no answer may still happen: a task of its own removes what it left, once the host is back."""
    host = orphan["host"]

    async def run(task: Task, journal: Journal) -> None:
        await journal.intend(host, "instance.absent", orphan)
        task.update(host=host, status="waiting for the host")
        await manager.fleet.until_usable(host)
        await manager.tasks.undo_handlers["instance.absent"](orphan)
        await journal.commit()
        task.update(host=host, status="done")

    await manager.tasks.start(
        Task(
            kind="remove-half-made",
            description=f"Removing what a broken launch of {orphan['name']} may have left on {host}",
            project=orphan["project"],
            may_cancel=False,
        ),
        run,
        journal=True,
    )


def _request_is_bad(error: ApiError) -> bool:
    """Whether the host's answer says that the request itself is wrong, so that no other host would take it."""
    if error.code in (403, 409, 412, 413):
        return True
    words = error.text.lower()
    return any(phrase in words for phrase in _REQUEST_IS_BAD)


def resource_url(kind: str, plan: Plan) -> str:
    query = "" if plan.project == "default" else f"?project={quote(plan.project, safe='')}"
    return f"/1.0/{kind}/{quote(plan.request.instance, safe='')}{query}"
