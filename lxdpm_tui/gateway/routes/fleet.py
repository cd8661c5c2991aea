"""/1.0/fleet: what LXD's own API has no word for. The command line of a second process comes in here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui import __version__
from lxdpm_tui.actions.registry import ActionError, registry
from lxdpm_tui.fleet.inventory import Image, Key, Profile
from lxdpm_tui.gateway import answers
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.openapi import describe
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.host import Host

READ = 10.0  # seconds that hosts have to say what they have now


async def about(call: Call) -> web.StreamResponse:
    """The manager itself: version, strategy, and how its hosts are."""
    hosts = [
        {
            "name": r.name,
            "address": r.address,
            "status": r.shown_status,
            "reason": r.reason,
            "since": r.since,
            "kind": r.kind,
            "version": r.version,
            "instances": r.instances,
        }
        for r in call.manager.inventory.hosts.values()
    ]
    strategy = str(call.manager.scheduler.strategy)
    return answers.sync({"version": __version__, "strategy": strategy, "hosts": hosts})


async def actions(call: Call) -> web.StreamResponse:
    """name -> help of every action."""
    return answers.sync({action.name: action.help for action in registry.actions.values()})


async def run(call: Call) -> web.StreamResponse:
    """Start an action; the body is its arguments. The answer is an operation."""
    arguments: dict[str, Any] = await call.json()
    task = await call.manager.run(call.vars["action"], **arguments)
    operation = call.gateway.hub.operations.of_task(task)
    return answers.operation({**operation.shown, "id": task.id})


async def plan(call: Call) -> web.StreamResponse:
    """Where a launch with these arguments would go and why."""
    arguments: dict[str, Any] = await call.json()
    try:
        return answers.sync(await call.manager.preview(**arguments))
    except ValueError as error:
        raise ActionError(str(error)) from error


async def plan_of_action(call: Call) -> web.StreamResponse:
    """The API calls that an action with these arguments would make, in waves."""
    arguments: dict[str, Any] = await call.json()
    return answers.sync((await call.manager.plan_of(call.vars["action"], arguments)).to_dict())


async def plan_of_rows(call: Call) -> web.StreamResponse:
    """The same for a bulk act on exactly these instances: {"act", "rows": [{"host", "name", "project"}], "options",
    "limits"}, as a console asks for it."""
    return answers.sync((await call.manager.plan_asked(await call.json())).to_dict())


async def rows(call: Call) -> web.StreamResponse:
    """Every host's own images or profiles, of all projects: {host: [{"project": ..., "row": LXD's object}]}.

    Lists elsewhere unite what the hosts have; a console that attaches wants to know what each of them has.
    """
    manager = call.manager
    kinds: dict[str, Mapping[str, Mapping[Key, Image | Profile]]]
    kinds = {"images": manager.inventory.images, "profiles": manager.inventory.profiles}
    kind = call.vars["kind"]
    if kind not in kinds:
        raise ActionError("not found", 404)

    async def read(host: Host) -> None:
        async with manager.fleet.while_usable(host.name):
            await manager.fleet.watch(host.name).read_now(kind)

    await manager.fleet.fan_out(read, manager.fleet.distinct(manager.fleet.usable()), budget=READ)
    return answers.sync(
        {
            host: [{"project": row.project, "row": msgspec.Raw(row.raw)} for row in own.values()]
            for host, own in kinds[kind].items()
        }
    )


async def own_warnings(call: Call) -> web.StreamResponse:
    """What is wrong with the fleet as a whole, as LXD's warnings; /1.0/warnings has them among those of the hosts."""
    return answers.sync(await call.manager.fleet_warnings())


async def openapi(call: Call) -> web.StreamResponse:
    """The OpenAPI description of all this."""
    return web.json_response(describe(call.gateway.router.routes))


async def tasks(call: Call) -> web.StreamResponse:
    """Tasks with their decisions and results, also those of earlier runs, the newest first."""
    return answers.sync([task.to_operation() for task in await call.manager.tasks.history(200)])


ROUTES = [
    Route("GET", "/1.0/openapi.json", openapi, Access.TRUSTED),
    Route("GET", "/1.0/fleet", about, Access.SERVER),
    Route("GET", "/1.0/fleet/rows/{kind}", rows, Access.SERVER),
    Route("GET", "/1.0/fleet/actions", actions, Access.SERVER),
    Route("POST", "/1.0/fleet/actions/{action}", run, Access.SERVER),
    Route("POST", "/1.0/fleet/plan", plan, Access.SERVER),
    Route("POST", "/1.0/fleet/plan/{action}", plan_of_action, Access.SERVER),
    Route("POST", "/1.0/fleet/plans", plan_of_rows, Access.SERVER),
    Route("GET", "/1.0/fleet/warnings", own_warnings, Access.SERVER),
    Route("GET", "/1.0/fleet/tasks", tasks, Access.SERVER),
]
