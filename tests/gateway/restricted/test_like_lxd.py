"""The gateway answers strangers and restricted certificates as a plain daemon does."""

from __future__ import annotations

import base64
from pathlib import Path

from lxdpm_tui.gateway.server import Gateway
from tests.gateway import direct
from tests.gateway.restricted.https import HttpsClient, fingerprint_of
from tests.lab.lab import Lab


async def test_a_plain_daemon_answers_alike(
    gateway: Gateway, guest: HttpsClient, stranger: HttpsClient, clean_lab: Lab, tmp_path: Path
) -> None:
    """LXD itself on h1 and the gateway, for a restricted certificate and for a stranger."""
    pem = base64.b64encode(guest.certificate).decode()
    added = {"type": "client", "name": "g", "certificate": pem, "restricted": True, "projects": ["theirs"]}
    await direct.ask(clean_lab, "h1", "POST", "/1.0/certificates", added)
    address = f"{clean_lab.hosts['h1'].address}:8443"
    try:
        for client, requests in ((guest, _AS_GUEST), (stranger, _AS_STRANGER)):
            plain = HttpsClient(address, tmp_path / client.folder.name)
            try:
                for method, path in requests:
                    body = {} if method in ("POST", "PUT", "PATCH") else None
                    theirs, ours = await plain.ask(method, path, body), await client.ask(method, path, body)
                    assert (ours.status, ours.error) == (theirs.status, theirs.error), (method, path)
            finally:
                await plain.close()
    finally:
        await direct.ask(clean_lab, "h1", "DELETE", f"/1.0/certificates/{fingerprint_of(guest)}")


_AS_GUEST = [
    (method, path)
    for method, paths in (
        (
            "GET",
            "/ /1.0 /1.0/instances /1.0/instances?project=theirs /1.0/instances?project=nope /1.0/instances/x "
            "/1.0/instances/x/state /1.0/images /1.0/images?project=theirs /1.0/images/aliases "
            "/1.0/images/aliases?project=theirs /1.0/images/aliases/busybox /1.0/images/aliases/nope "
            "/1.0/images/0123456789ab /1.0/profiles /1.0/profiles?project=theirs&recursion=1 /1.0/profiles/default "
            "/1.0/networks /1.0/networks?project=theirs /1.0/network-acls /1.0/network-acls?project=theirs "
            "/1.0/network-zones /1.0/network-zones?project=theirs /1.0/storage-pools /1.0/storage-pools?recursion=1 "
            "/1.0/storage-pools/default /1.0/storage-pools/default/resources /1.0/storage-pools/default/volumes "
            "/1.0/storage-pools/default/volumes?project=theirs /1.0/projects /1.0/projects/theirs "
            "/1.0/projects/theirs/state /1.0/operations?project=theirs /1.0/warnings /1.0/resources /1.0/certificates "
            "/1.0/nope",
        ),
        ("DELETE", "/1.0/instances/x /1.0/projects/theirs"),
        (
            "POST",
            "/1.0/instances /1.0/images /1.0/profiles /1.0/networks /1.0/storage-pools /1.0/projects /1.0/certificates",
        ),
        ("PUT", "/1.0/instances /1.0/projects/theirs"),
        ("PATCH", "/1.0/projects/default /1.0 /1.0/instances"),
    )
    for path in paths.split()
]
_AS_STRANGER = [
    (method, path)
    for method, paths in (
        (
            "GET",
            "/ /1.0 /1.0/images /1.0/images?recursion=1 /1.0/images/aliases /1.0/images/nope "
            "/1.0/images/aliases/busybox /1.0/images/aliases/nope /1.0/certificates /1.0/operations "
            "/1.0/operations/nope /1.0/operations/nope/wait /1.0/operations/nope/wait?secret=x "
            "/1.0/operations/nope/websocket /1.0/operations/nope/websocket?secret=x /1.0/events /1.0/metrics "
            "/1.0/nope /1.0/cluster /1.0/resources /1.0/instances/x/files?path=/etc/passwd",
        ),
        ("POST", "/1.0/images /1.0/certificates /1.0/images/x/export"),
        ("PUT", "/1.0/images"),
        ("PATCH", "/1.0/certificates"),
        ("DELETE", "/1.0/instances/x"),
    )
    for path in paths.split()
]
