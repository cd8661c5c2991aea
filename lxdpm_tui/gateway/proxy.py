"""Passing a request on to the host that owns the thing, streamed both ways; only named keys of JSON are touched.

Rules R2, R3, R7 to R10 of LXD's contract: the target is read here and never sent on, the location is filled in, header
families are translated to the host's own and answered in both, nothing of a browser or of the client's identity passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.gateway import access
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.hosts.exchange import Answer
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError

STREAM = Deadlines(connect=5.0, first_byte=120.0, idle=120.0)
LOOK_UP = 5.0
HOST_HEADER = "X-LXDPM-Host"
RELAYED = 1 << 20  # bytes of a body from which on it goes past the HTTP machinery

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "content-length", "host"}
)  # fmt: skip
_NOT_SENT = _HOP_BY_HOP | {
    "user-agent",
    "origin",
    "cookie",
    "referer",
    "authorization",
    "accept-encoding",
    "x-lxd-authenticated",
    "x-incus-authenticated",
    "expect",
}
_NOT_SENT_PREFIXES = ("sec-fetch-", "sec-ch-", "x-lxd-forwarded-", "x-incus-forwarded-")
_FAMILIES = ("x-lxd-", "x-incus-")

_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


async def owner(call: Call, name: str) -> str:
    """The host of an instance: by the inventory, else by asking all hosts at once.

    Raises ActionError: 404, 409 for twins without ?target=, 503 naming hosts that could not be asked.
    """
    manager, target = call.manager, call.query.get("target")  # of one that is alone it says nothing, whatever it is
    rows = manager.inventory.find_instances(call.project, name)
    if len(rows) > 1 and target not in {row.host for row in rows}:
        await resolve.read_again(manager, *(row.key for row in rows))  # one of them may have been renamed just now
        rows = manager.inventory.find_instances(call.project, name)
    rows_on = [row.host for row in rows] or await _look_up(call, name)
    if len(rows_on) == 1:
        return rows_on[0]
    if target in rows_on and target is not None:
        return target
    raise ActionError("Instance found on more than one cluster member. Please target a specific member", 409)


async def _look_up(call: Call, name: str) -> list[str]:
    """Hosts that have it now, though no event told so yet. Raises ActionError 404 or 503."""
    fleet = call.manager.fleet
    path = f"/1.0/instances/{quote(name, safe='')}"

    async def ask(host: Host) -> bytes:
        return (await host.request("GET", path, params={"project": call.project})).body

    found = await fleet.fan_out(ask, budget=LOOK_UP)
    having = []
    refused: ApiError | None = None  # the request is wrong: no host could have it
    unsure = fleet.silent()
    for host, answer in found.items():
        if isinstance(answer, bytes):
            having.append(host)
            row = decode.instance(host, decode.row_of(answer))
            call.manager.inventory.put("instances", row)
        elif isinstance(answer, HostError) or answer.code >= 500:
            unsure.append(host)
        elif answer.code != 404:
            refused = answer
    if having:
        return having
    if refused is not None:
        raise refused
    if unsure:
        raise ActionError(f"Instance not found on the hosts that answer; could not ask {', '.join(unsure)}", 503)
    raise ActionError("Instance not found", 404)


def must_answer(call: Call, host: str) -> None:
    """Raises ActionError 503 with the host's own reason when it cannot be asked now."""
    record = call.manager.inventory.hosts.get(host)
    if record is None:
        raise ActionError(f"{host} is no longer in the fleet", 404)
    if not record.usable:
        raise ActionError(f"{host}: {record.reason or record.status}", 503)


def host_target(call: Call, path: str | None = None) -> str:
    """Path and query for the host: its own word for instances, and without what only the gateway reads."""
    path = path or call.path
    for alias in ("containers", "virtual-machines"):
        prefix = f"/1.0/{alias}"
        if path == prefix or path.startswith(prefix + "/"):
            path = "/1.0/instances" + path[len(prefix) :]
    query = call.request.raw_path.partition("?")[2]
    kept = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key != "target"]
    return f"{path}?{urlencode(kept)}" if kept else path


def host_headers(headers: Mapping[str, str], prefix: str) -> CIMultiDict[str]:
    """What is passed on. prefix: the host's family, "X-LXD-" or "X-Incus-"."""
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        low = name.lower()
        if low in _NOT_SENT or low.startswith(_NOT_SENT_PREFIXES):
            continue
        family = next((family for family in _FAMILIES if low.startswith(family)), None)
        sent[prefix + name[len(family) :] if family else name] = value
    return sent


def client_headers(headers: Mapping[str, str], host: str) -> CIMultiDict[str]:
    """What is answered: file and image headers in both families, and who owns it."""
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        low = name.lower()
        if low in _HOP_BY_HOP or low == "content-encoding":
            continue
        family = next((family for family in _FAMILIES if low.startswith(family)), None)
        if family is None:
            sent.add(name, value)
        else:
            sent["X-LXD-" + name[len(family) :]] = value
            sent["X-Incus-" + name[len(family) :]] = value
    sent[HOST_HEADER] = host
    return sent


async def forward(
    call: Call,
    host: str,
    path: str | None = None,
    *,
    body: bytes | AsyncIterator[bytes] | None = None,
    touch: bool = True,
) -> web.StreamResponse:
    """Send the call to a host and pass its answer on. body: replaces the client's; in chunks, it is as long as that.

    Raises ActionError 503 when the host is known to be down, the HostError family when it turns out to be.
    """
    must_answer(call, host)
    daemon = call.manager.fleet.hosts[host]
    request = call.request
    headers = host_headers(request.headers, daemon.dialect.header_prefix)
    data: bytes | AsyncIterator[bytes] | None = body
    if body is None and request.can_read_body and request.method not in ("GET", "HEAD"):
        data = request.content.iter_any()
    length = request.headers.get("Content-Length")
    if data is not None and not isinstance(data, bytes) and length is not None:
        headers["Content-Length"] = length
    async with contextlib.AsyncExitStack() as stack:
        asking = daemon.stream(request.method, host_target(call, path), headers=headers, data=data, deadlines=STREAM)
        again = request.method in ("GET", "HEAD")
        async with call.manager.fleet.while_usable(host) if again else contextlib.nullcontext():
            response = await stack.enter_async_context(asking)
        answer = await _pass_on(call, host, response)
    if touch and request.method not in ("GET", "HEAD"):
        _touch(call, host)
    return answer


def _touch(call: Call, host: str) -> None:
    """What we changed is read again without waiting for the event, so that a list right after it is true."""
    kind = call.path.split("/")[2] if call.path.count("/") >= 2 else ""
    kind = "instances" if kind in ("containers", "virtual-machines") else kind
    if kind in ("instances", "images", "profiles"):
        name = call.vars.get("name")
        key = Key(host, call.project, name) if kind == "instances" and name else None
        call.manager.fleet.watch(host).touch(kind, key)


async def _pass_on(call: Call, host: str, response: Answer) -> web.StreamResponse:
    headers = client_headers(response.headers, host)
    if not call.client.trusted:
        del headers[HOST_HEADER]
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    is_file = any(name.lower() in ("x-lxd-type", "x-incus-type") for name in response.headers)
    if is_json and not is_file and call.request.method != "HEAD":
        body = await response.read()
        headers.popall("Content-Type", None)
        return web.Response(
            status=response.status,
            body=edit(call, host, body, headers),
            headers=headers,
            content_type="application/json",
        )
    out = web.StreamResponse(status=response.status, headers=headers)
    if (length := response.headers.get("Content-Length")) is not None:
        out.content_length = int(length)
    writer = await out.prepare(call.request)
    if call.request.method != "HEAD":
        if length is not None and int(length) > RELAYED and writer is not None:
            await relay(call.request, call.manager.fleet.hosts[host], response, out, writer)
        else:
            async for chunk in response.content.iter_any():
                await out.write(chunk)
    await out.write_eof()
    return out


async def relay(
    request: web.BaseRequest,
    daemon: Host,
    response: Answer,
    out: web.StreamResponse,
    writer: AbstractStreamWriter,
) -> None:
    """A large body of known length past the HTTP machinery: what has come is written, then the connections are joined.

    Raises the HostError family when the host does not send all of it, ConnectionError when the client leaves.
    """
    protocol, front = request.protocol, request.transport
    while chunk := response.content.read_nowait():
        await out.write(chunk)
    if front is None or response.content.is_eof():
        return
    writer.send_headers()
    await daemon.relay(response, front, writer.drain, lambda: protocol.writing_paused)


def edit(call: Call, host: str, body: bytes, headers: CIMultiDict[str]) -> bytes:
    """A host's envelope as the fleet says it: operation known and without a query, location, the client's word for
    instances in URLs. Everything else stays byte for byte."""
    try:
        envelope = _raw.decode(body)
    except msgspec.DecodeError:
        return body
    if "metadata" not in envelope:
        return body
    kind = msgspec.json.decode(envelope.get("type", msgspec.Raw(b'""')))
    metadata = bytes(envelope["metadata"])
    if kind == "async":
        known = call.gateway.hub.operations.seen(host, metadata, call.project, call.caller)
        shown = dict(known.shown)
        if call.collection != "instances":
            shown["resources"] = _aliased(shown.get("resources"), call.collection)
        envelope["metadata"] = msgspec.Raw(msgspec.json.encode(shown))
        url = f"/1.0/operations/{known.id}"
        envelope["operation"] = msgspec.Raw(msgspec.json.encode(url))
        headers["Location"] = url
    elif kind == "sync":
        if metadata.startswith(b"{"):
            row = access.veil(call, _placed(_raw.decode(metadata), host))
            envelope["metadata"] = msgspec.Raw(msgspec.json.encode(row))
        elif metadata.startswith(b"[{"):
            envelope["metadata"] = msgspec.Raw(
                msgspec.json.encode([access.veil(call, _placed(row, host)) for row in _raw_rows.decode(metadata)])
            )
        elif metadata.startswith(b'["/1.0/instances') and call.collection != "instances":
            renamed = metadata.replace(b'"/1.0/instances/', f'"/1.0/{call.collection}/'.encode())
            envelope["metadata"] = msgspec.Raw(renamed)
        if "Location" in headers:
            headers["Location"] = headers["Location"].partition("?")[0]
    return msgspec.json.encode(envelope)


def _placed(row: dict[str, msgspec.Raw], host: str) -> dict[str, msgspec.Raw]:
    """A host's object with the member's name where the host says "none"."""
    if "location" in row:
        row["location"] = msgspec.Raw(msgspec.json.encode(host))
    if "locations" in row and bytes(row["locations"]) != b"null":
        row["locations"] = msgspec.Raw(msgspec.json.encode([host]))
    return row


def _aliased(resources: msgspec.Raw | None, collection: str) -> msgspec.Raw:
    """The resources of an operation with the instances also under the name that the client uses."""
    found: dict[str, list[str]] = msgspec.json.decode(resources) if resources else {}
    found = dict(found or {})
    if "instances" in found and collection not in found:
        found[collection] = [url.replace("/1.0/instances/", f"/1.0/{collection}/") for url in found["instances"]]
    return msgspec.Raw(msgspec.json.encode(found))


async def instance(call: Call) -> web.StreamResponse:
    """Any call on one instance or on what it has: to its owner."""
    return await forward(call, await owner(call, call.vars["name"]))
