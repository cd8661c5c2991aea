"""Which host has something that the inventory knows nothing of: all hosts are asked."""

from __future__ import annotations

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError

LOOK_UP = 5.0


async def holders(call: Call, path: str, what: str, project: str = "") -> list[str]:
    """The hosts that have what the path names. Raises ActionError 404, 503 naming those that could not be asked."""

    async def ask(host: Host) -> None:
        await host.request("GET", path, params={"project": project or call.project})

    fleet = call.manager.fleet
    having = []
    refused: ApiError | None = None
    unsure = fleet.silent()
    for host, answer in (await fleet.fan_out(ask, budget=LOOK_UP)).items():
        if answer is None:
            having.append(host)
        elif isinstance(answer, HostError):
            unsure.append(host)
        elif answer.code != 404:
            refused = answer
    if having:
        return having
    if refused is not None:
        raise refused
    if unsure:
        raise ActionError(f"{what} not found on the hosts that answer; could not ask {', '.join(unsure)}", 503)
    raise ActionError(f"{what} not found", 404)


async def holder(call: Call, path: str, what: str) -> str:
    """The host that has what the path names: the only one, or the one that ?target= says.

    Raises ActionError: 404, 503, and 409 when several have it.
    """
    if call.target:
        return call.target
    having = await holders(call, path, what)
    if len(having) > 1:
        raise ActionError(f"{what} found on more than one cluster member. Please target a specific member", 409)
    return having[0]
