"""/1.0/certificates: who may use the gateway over HTTPS, enrolment included."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ssl
from dataclasses import replace
from typing import Any

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.store import TokenRow, TrustRow
from lxdpm_tui.tasks.task import text_of


def _shown(row: TrustRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "type": "client",
        "restricted": row.restricted,
        "projects": list(row.projects),
        "read_only": row.read_only,
        "certificate": row.certificate,
        "fingerprint": row.fingerprint,
    }


def _writable(row: TrustRow) -> dict[str, Any]:
    return {key: value for key, value in _shown(row).items() if key != "fingerprint"}


async def list_all(call: Call) -> web.StreamResponse:
    """A restricted caller sees itself only."""
    rows = call.gateway.trust.all()
    if call.client.projects is not None:
        rows = [row for row in rows if row.fingerprint == call.caller]
    if call.recursion:
        return answers.sync([_shown(row) for row in rows])
    return answers.sync([f"/1.0/certificates/{row.fingerprint}" for row in rows])


async def create(call: Call) -> web.StreamResponse:
    """Three ways: a caller enrols itself with a token or the trust password; one that is trusted adds a certificate,
    or asks for a token."""
    body = await call.json()
    secret = body.get("trust_token") or body.get("password")
    name = str(body.get("name") or "")
    if not call.client.trusted:
        return await _enrol(call, secret, name)
    if not body.get("token") and not body.get("certificate"):
        if secret and call.client.certificate:
            raise ActionError("Certificate already in trust store", 409)  # as Ansible expects it of its second run
        raise ActionError("Client is already trusted")
    if call.client.projects is not None:
        raise ActionError("not authorized", 403)
    rights = _rights(body)
    if body.get("type", "client") not in ("client", ""):
        raise ActionError(f"Invalid certificate type {body['type']!r}: only client certificates are kept here")
    if body.get("token"):
        row, secret = await call.gateway.trust.make_token(name, **rights)
        await call.manager.store.append_audit(call.caller, "trust-token", {"name": name}, result="Success")
        return answers.operation(token_operation(call, row, secret))
    der = _certificate(str(body.get("certificate") or ""))
    added = await call.gateway.trust.add(der, name, **rights)
    await call.manager.store.append_audit(call.caller, "trust-add", {"name": name}, result="Success")
    call.tell("certificate-created", f"/1.0/certificates/{added.fingerprint}")
    return answers.created(f"/1.0/certificates/{added.fingerprint}")


def _rights(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says that the certificate may do. read_only is the gateway's own, beside LXD's fields."""
    projects = body.get("projects") or []
    if not isinstance(projects, list) or not all(isinstance(name, str) for name in projects):
        raise ActionError("projects must be a list of names")
    flags = {key: body.get(key) or False for key in ("restricted", "read_only")}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise ActionError(f"{key} must be true or false")
    return {**flags, "projects": tuple(projects)}


def _certificate(text: str) -> bytes:
    """DER, out of base64 of that or PEM. Raises ActionError."""
    if not text:
        raise ActionError("Invalid certificate: it is empty")
    try:
        if "BEGIN CERTIFICATE" in text:
            return ssl.PEM_cert_to_DER_cert(text.strip())
        return base64.b64decode("".join(text.split()), validate=True)  # pylxd leaves the line ends in
    except (binascii.Error, ValueError) as error:
        raise ActionError(f"Invalid certificate: {error}") from error


async def _enrol(call: Call, secret: object, name: str) -> web.StreamResponse:
    """The certificate is the one that the caller showed in the handshake, so it proved that it has the key."""
    if not isinstance(secret, str) or not secret:
        raise ActionError("not authorized", 403)
    if not call.client.certificate:
        raise ActionError("No client certificate provided")
    row = await call.gateway.trust.enrol(call.client.certificate, secret, name)
    await call.manager.store.append_audit(row.fingerprint, "trust-enrol", {"name": row.name}, result="Success")
    return answers.created(f"/1.0/certificates/{row.fingerprint}")


def token_operation(call: Call, row: TokenRow, secret: str = "") -> dict[str, Any]:
    """A token as LXD shows it: an operation of class token that ends when it is used. secret "": not shown again."""
    return {
        "id": row.id,
        "class": "token",
        "description": "Executing operation",
        "created_at": text_of(row.created),
        "updated_at": text_of(row.created),
        "status": "Running",
        "status_code": 103,
        "resources": None,
        "metadata": {
            "addresses": list(call.gateway.addresses),
            "expiresAt": text_of(row.expires),
            "fingerprint": call.gateway.fingerprint,
            "request": {
                "name": row.name,
                "type": "client",
                "restricted": row.restricted,
                "projects": list(row.projects),
                "read_only": row.read_only,
                "token": True,
            },
            "secret": secret,  # clients skip a token without one when they list tokens
        },
        "may_cancel": True,
        "err": "",
        "location": "",
    }


async def read(call: Call) -> web.StreamResponse:
    row = _visible(call)
    return answers.sync(_shown(row), etag=_writable(row))


async def change(call: Call) -> web.StreamResponse:
    """Name, rights, and the certificate itself. A restricted caller may renew its own, and change nothing else."""
    row = _visible(call)
    answers.check_match(call.request, _writable(row), "the certificate")
    body = await call.json()
    # Clients of LXD do not know of read_only: one that sends back all that it knows must not take it away.
    kept = _writable(row) if call.request.method == "PATCH" else {"name": row.name, "read_only": row.read_only}
    new = {**kept, **body}
    wanted = replace(row, name=str(new["name"] or row.name), **_rights(new))
    if call.client.projects is not None and wanted != row:
        raise ActionError("Only the certificate can be changed", 403)
    der = _certificate(str(body["certificate"])) if body.get("certificate") else b""
    if der and hashlib.sha256(der).hexdigest() != row.fingerprint:
        wanted = await call.gateway.trust.renew(wanted, der)  # all of it, or nothing when the certificate is refused
    elif wanted != row:
        await call.gateway.trust.update(wanted)
    told = {"name": wanted.name, "fingerprint": wanted.fingerprint}
    await call.manager.store.append_audit(call.caller, "trust-change", told, result="Success")
    call.tell("certificate-updated", f"/1.0/certificates/{wanted.fingerprint}")
    return answers.sync({})


def _visible(call: Call) -> TrustRow:
    """The one that the path names. Raises ActionError 404, also for others than a restricted caller's own."""
    row = call.gateway.trust.find(call.vars["fingerprint"])
    if call.client.projects is not None and row.fingerprint != call.caller:
        raise ActionError("Certificate not found", 404)
    return row


async def delete(call: Call) -> web.StreamResponse:
    row = call.gateway.trust.find(call.vars["fingerprint"])
    await call.gateway.trust.remove(row.fingerprint)
    await call.manager.store.append_audit(call.caller, "trust-remove", {"name": row.name}, result="Success")
    call.tell("certificate-deleted", f"/1.0/certificates/{row.fingerprint}")
    return answers.sync({})


ROUTES = [
    Route("GET", "/1.0/certificates", list_all, Access.TRUSTED),
    Route("POST", "/1.0/certificates", create, Access.PUBLIC),
    Route("GET", "/1.0/certificates/{fingerprint}", read, Access.TRUSTED),
    Route("PUT", "/1.0/certificates/{fingerprint}", change, Access.TRUSTED),
    Route("PATCH", "/1.0/certificates/{fingerprint}", change, Access.TRUSTED),
    Route("DELETE", "/1.0/certificates/{fingerprint}", delete, Access.SERVER),
]
