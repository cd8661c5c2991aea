"""Who calls, as LXD's lifecycle events tell it."""

from __future__ import annotations

import functools
import pwd
import socket
import struct

from aiohttp import web

from lxdpm_tui.gateway.call import Client
from lxdpm_tui.hosts.requestor import Requestor

_PEER = struct.Struct("iII")  # of a unix socket: process, user, group


def requestor_of(request: web.BaseRequest, client: Client) -> Requestor | None:
    """None for strangers."""
    if not client.trusted or request.transport is None:
        return None
    if client.method == "tls":
        host, port = (request.transport.get_extra_info("peername") or ("", 0))[:2]
        address = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
        return {"username": client.name, "protocol": "tls", "address": address}
    own = request.transport.get_extra_info("socket")
    _, user, _ = _PEER.unpack(own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return {"username": _name_of(user), "protocol": "unix", "address": "@"}


@functools.lru_cache
def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
