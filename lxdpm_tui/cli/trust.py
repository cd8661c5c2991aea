"""`lxdpm-tui trust ...`: who may use the gateway over HTTPS."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.actions.trust import Trust, join_token
from lxdpm_tui.cli.attach import running_here
from lxdpm_tui.cli.run import DEFAULT_PORT, Failure, paths_of, say, tell
from lxdpm_tui.config import HostConfig, Paths
from lxdpm_tui.gateway.server import ADDRESSES
from lxdpm_tui.gateway.tls import ensure_certificate
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.manager import AlreadyRunning, take_lock
from lxdpm_tui.store import Store, StoreError, TokenRow


async def run(arguments: argparse.Namespace) -> int:
    """The exit code. A gateway that serves this state directory is told; else its store is changed directly."""
    paths = paths_of(arguments)
    paths.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        try:
            lock = take_lock(paths)
        except AlreadyRunning as running:
            async with _gateway(await running_here(paths, str(running))) as gateway:
                return await _served(arguments, gateway)
        try:
            return await _direct(arguments, paths)
        finally:
            os.close(lock)
    except (ActionError, ApiError, HostError, StoreError) as error:
        raise Failure(str(error)) from error


@contextlib.asynccontextmanager
async def _gateway(config: HostConfig) -> AsyncIterator[Host]:
    host = Host(replace(config, name=""))
    try:
        yield host
    finally:
        await host.close()


async def _served(arguments: argparse.Namespace, gateway: Host) -> int:
    if arguments.verb == "add":
        body = {
            "type": "client",
            "name": arguments.name,
            "token": True,
            "restricted": bool(arguments.project),
            "projects": arguments.project,
            "read_only": arguments.read_only,
        }
        made = (await gateway.request("POST", "/1.0/certificates", json=body)).metadata["metadata"]
        if not made["addresses"]:
            say("the gateway does not listen on HTTPS now: start it with --listen before the token is used")
        row = TokenRow("", arguments.name, "", False, (), 0.0, 0.0)
        text = join_token(row, made["secret"], made["fingerprint"], made["addresses"])
        _show_token({**_decoded(text), "expires_at": made["expiresAt"]}, arguments.json)
    elif arguments.verb == "list":
        _show(await gateway.get("/1.0/certificates", recursion=1) or [], arguments.json)
    else:
        await gateway.request("DELETE", f"/1.0/certificates/{arguments.fingerprint}")
    return 0


async def _direct(arguments: argparse.Namespace, paths: Paths) -> int:
    store = Store(paths.database)
    await store.open()
    try:
        trust = Trust(store)
        await trust.load()
        if arguments.verb == "add":
            cert, _ = await asyncio.to_thread(ensure_certificate, paths.state_dir)
            fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest()
            kept = await store.get_setting(ADDRESSES) or f"127.0.0.1:{DEFAULT_PORT}"
            row, secret = await trust.make_token(
                arguments.name,
                restricted=bool(arguments.project),
                projects=arguments.project,
                read_only=arguments.read_only,
            )
            _show_token(_decoded(join_token(row, secret, fingerprint, kept.split("\n"))), arguments.json)
        elif arguments.verb == "list":
            rows = [
                {
                    "fingerprint": r.fingerprint,
                    "name": r.name,
                    "restricted": r.restricted,
                    "projects": list(r.projects),
                    "read_only": r.read_only,
                }
                for r in trust.all()
            ]
            _show(rows, arguments.json)
        else:
            await trust.remove(trust.find(arguments.fingerprint).fingerprint)
    finally:
        await store.close()
    return 0


def _decoded(token: str) -> dict[str, Any]:
    import base64

    found: dict[str, Any] = json.loads(base64.b64decode(token))
    return found


def _show_token(token: dict[str, Any], as_json: bool) -> None:
    import base64

    text = base64.b64encode(json.dumps(token).encode()).decode()
    tell(json.dumps({"token": text, "expires_at": token["expires_at"]}) if as_json else text)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        tell(json.dumps(rows, indent=2))
        return
    for row in rows:
        where = f"  only {', '.join(row['projects'])}" if row["restricted"] else ""
        tell(f"{row['fingerprint'][:12]}  {row['name']}{where}{'  read-only' if row['read_only'] else ''}")
