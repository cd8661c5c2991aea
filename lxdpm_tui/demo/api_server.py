"""Routes of the daemon itself: server, resources, metrics, operations, events, and what it only has in name."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json

from aiohttp import WSMsgType, web

from lxdpm_tui.demo import metrics, render
from lxdpm_tui.demo.answers import Call, Handler, done, envelope, failure, sync
from lxdpm_tui.demo.events import Listener
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import etag
from lxdpm_tui.demo.variants import JSON, Problem

_PING_EVERY = 10.0


async def root(call: Call) -> web.Response:
    return sync(["/1.0"])


async def server(call: Call) -> web.Response:
    if call.query("target"):
        raise Problem(404, "Cluster member not found")
    return sync(render.server(call.state, project_name=call.project), etag(call.state.config))


async def put_server(call: Call) -> web.Response:
    return await _configure(call, whole=True)


async def patch_server(call: Call) -> web.Response:
    return await _configure(call, whole=False)


async def _configure(call: Call, *, whole: bool) -> web.Response:
    call.check_etag(etag(call.state.config))
    given = {key: str(value) for key, value in ((await call.body()).get("config") or {}).items()}
    for key, value in given.items():
        if not key.startswith(("core.", "images.", "user.", "cluster.", "storage.", "backups.", "instances.", "loki.")):
            raise Problem(400, f"cannot set '{key}' to '{value}': unknown key")
    call.state.config = given if whole else call.state.config | given
    call.state.hub.lifecycle("default", "config-updated", "/1.0")
    return done()


async def resources(call: Call) -> web.Response:
    return sync(render.resources(call.state))


async def get_metrics(call: Call) -> web.Response:
    text = metrics.render(call.state).encode()
    headers = {}
    if call.state.variant.incus and "gzip" in call.request.headers.get("Accept-Encoding", ""):
        text = gzip.compress(text, 1)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=text, content_type="text/plain", headers=headers)


# -- operations


async def list_operations(call: Call) -> web.Response:
    scope = call.scope("operations_get_query_all_projects")
    return sync(call.state.operations.listing(scope, call.recursion > 0))


async def get_operation(call: Call) -> web.Response:
    return sync(call.state.operations.get(call.parts["id"]).render())


async def cancel_operation(call: Call) -> web.Response:
    call.state.operations.cancel(call.parts["id"])
    return done()


async def wait_operation(call: Call) -> web.StreamResponse:
    operation = call.state.operations.get(call.parts["id"])
    text = call.query("timeout", "-1")
    try:
        timeout = int(text)
    except ValueError:
        raise Problem(500, f'strconv.Atoi: parsing "{text}": invalid syntax') from None
    if not call.state.variant.newer_wait:
        await _finished(operation, timeout)
        return sync(operation.render())
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    finished = await _finished(operation, timeout)
    await call.state.awake.wait()
    if not finished:
        answer = failure(Problem(500, "context deadline exceeded"))
    else:
        answer = failure(operation.failure) if operation.failure else envelope(operation.render())
    with contextlib.suppress(ConnectionError):  # whoever waited has gone
        await response.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
        await response.write_eof()
    return response


async def _finished(operation: Operation, timeout: int) -> bool:
    try:
        await asyncio.wait_for(operation.done.wait(), timeout if timeout >= 0 else None)
    except TimeoutError:
        return False
    return True


async def connect_operation(call: Call) -> web.StreamResponse:
    operation = call.state.operations.get(call.parts["id"])
    if operation.final:
        raise Problem(500, "Only running operations can be connected")
    if operation.connect is None:
        raise Problem(500, "Only websocket operations can be connected")
    if not call.query("secret"):
        raise Problem(500, "missing secret")
    answer: web.StreamResponse = await operation.connect(call.query("secret"), call.request)
    return answer


# -- events


async def events(call: Call) -> web.StreamResponse:
    hub = call.state.hub
    types = [name for name in call.query("type").split(",") if name] or list(call.state.variant.event_types)
    listener = hub.subscribe(types, call.scope())
    socket = web.WebSocketResponse(autoping=True, max_msg_size=0, compress=False, timeout=1.0)
    try:
        await socket.prepare(call.request)
        sender = asyncio.create_task(_send(call, listener, socket))
        try:
            while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass  # what a listener says is not for us
        finally:
            sender.cancel()
    finally:
        hub.unsubscribe(listener)
    return socket


async def _send(call: Call, listener: Listener, socket: web.WebSocketResponse) -> None:
    """Pass events on as they come, and a ping when there are none. A hanging daemon says nothing."""
    while not socket.closed:
        try:
            text = await asyncio.wait_for(listener.queue.get(), _PING_EVERY)
        except TimeoutError:
            text = ""
        await call.state.awake.wait()
        try:
            if text:
                await socket.send_str(text)
            elif call.state.variant.has("event_hub"):  # LXD 4.0 never pings
                await socket.ping(b"keepalive")
        except ConnectionError:
            return


# -- what there is only in name


async def certificates(call: Call) -> web.Response:
    return sync([])


async def no_certificate(call: Call) -> web.Response:
    raise Problem(404, "Certificate not found")


async def warnings(call: Call) -> web.Response:
    found = call.state.warnings
    return sync(list(found.values()) if call.recursion else [call.state.url("warnings", uuid) for uuid in found])


def _known_warning(call: Call) -> JSON:
    if call.parts["uuid"] not in call.state.warnings:
        raise Problem(404, "Warning not found")
    return call.state.warnings[call.parts["uuid"]]


async def warning(call: Call) -> web.Response:
    return sync(_known_warning(call), etag(call.parts["uuid"]))


async def put_warning(call: Call) -> web.Response:
    found = _known_warning(call)
    status = (await call.body()).get("status")
    if status not in ("acknowledged", "new"):
        raise Problem(400, f'Invalid warning type "{status}"')
    found["status"] = status
    what = "reset" if status == "new" else "acknowledged"
    call.state.hub.lifecycle("", f"warning-{what}", call.state.url("warnings", call.parts["uuid"]))
    return sync({})


async def delete_warning(call: Call) -> web.Response:
    _known_warning(call)
    del call.state.warnings[call.parts["uuid"]]
    call.state.hub.lifecycle("", "warning-deleted", call.state.url("warnings", call.parts["uuid"]))
    return sync({})


async def cluster(call: Call) -> web.Response:
    def key(pool: str, name: str) -> JSON:
        description = f'"{name}" property for storage pool "{pool}"'
        return {"entity": "storage-pool", "name": pool, "key": name, "value": "", "description": description}

    keys = [key(pool, "source") for pool in call.state.pools]
    return sync({"server_name": "", "enabled": False, "member_config": keys}, etag("", False))


async def not_clustered(call: Call) -> web.Response:
    raise Problem(500, "Server is not clustered")


async def no_groups(call: Call) -> web.Response:
    raise Problem(400, "This server is not clustered")


async def nothing(call: Call) -> web.Response:
    return sync([])


async def member_state(call: Call) -> web.Response:
    if call.state.variant.has("cluster_member_state"):
        raise Problem(404, "Cluster member not found")
    raise Problem(501, "not implemented")


ROUTES: dict[str, dict[str, Handler]] = {
    "/": {"GET": root},
    "/1.0": {"GET": server, "PUT": put_server, "PATCH": patch_server},
    "/1.0/resources": {"GET": resources},
    "/1.0/metrics": {"GET": get_metrics},
    "/1.0/operations": {"GET": list_operations},
    "/1.0/operations/{id}": {"GET": get_operation, "DELETE": cancel_operation},
    "/1.0/operations/{id}/wait": {"GET": wait_operation},
    "/1.0/operations/{id}/websocket": {"GET": connect_operation},
    "/1.0/events": {"GET": events},
    "/1.0/certificates": {"GET": certificates},
    "/1.0/certificates/{fingerprint}": {"GET": no_certificate},
    "/1.0/warnings": {"GET": warnings},
    "/1.0/warnings/{uuid}": {"GET": warning, "PUT": put_warning, "PATCH": put_warning, "DELETE": delete_warning},
    "/1.0/cluster": {"GET": cluster},
    "/1.0/cluster/members": {"GET": not_clustered},
    "/1.0/cluster/members/{name}": {"GET": not_clustered},
    "/1.0/cluster/members/{name}/state": {"GET": member_state},
    "/1.0/cluster/groups": {"GET": no_groups},
    "/1.0/network-acls": {"GET": nothing},
    "/1.0/network-zones": {"GET": nothing},
}
