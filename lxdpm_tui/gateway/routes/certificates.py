"""/1.0/certificates: who may use the gateway over HTTPS, enrolment included."""

from __future__ import annotations

import base64
import binascii
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
    if not call.client.trusted or (secret and not body.get("certificate")):
        return await _enrol(call, secret, name)
    if not body.get("token") and not body.get("certificate"):
        raise ActionError("Client is already trusted")
    if call.client.projects is not None:
        raise ActionError("not authorized", 403)
    rights = _rights(body)
    if body.get("type", "client") not in ("client", ""):
        raise ActionError(f"Unknown request type {body['type']!r}: only client certificates are kept here")
    if body.get("token"):
        if not name:
            raise ActionError("A name is needed for a token")
        row, secret = await call.gateway.trust.make_token(name, **rights)
        await call.manager.store.append_audit(call.caller, "trust-token", {"name": name}, result="Success")
        return answers.operation(token_operation(call, row, secret))
    try:
        der = _der(str(body.get("certificate") or ""))
    except (binascii.Error, ValueError) as error:
        raise ActionError(f"Invalid certificate: {error}") from error
    added = await call.gateway.trust.add(der, name, **rights)
    await call.manager.store.append_audit(call.caller, "trust-add", {"name": name}, result="Success")
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


def _der(text: str) -> bytes:
    if "BEGIN CERTIFICATE" in text:
        return ssl.PEM_cert_to_DER_cert(text)
    if not text:
        raise ValueError("it is empty")
    return base64.b64decode("".join(text.split()), validate=True)  # pylxd leaves the line ends in


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
    row = call.gateway.trust.find(call.vars["fingerprint"])
    if call.client.projects is not None and row.fingerprint != call.caller:
        raise ActionError("Certificate not found", 404)
    return answers.sync(_shown(row), etag=_writable(row))


async def change(call: Call) -> web.StreamResponse:
    row = call.gateway.trust.find(call.vars["fingerprint"])
    match = call.request.headers.get("If-Match", "").strip('"')
    if match and match != answers.etag_of(_writable(row)).strip('"'):
        raise ActionError("Precondition failed: the certificate has changed, read it again", 412)
    body = await call.json()
    # Clients of LXD do not know of read_only: one that sends back all that it knows must not take it away.
    kept = _writable(row) if call.request.method == "PATCH" else {"name": row.name, "read_only": row.read_only}
    new = {**kept, **body}
    await call.gateway.trust.update(replace(row, name=str(new["name"] or row.name), **_rights(new)))
    await call.manager.store.append_audit(call.caller, "trust-change", {"name": row.name}, result="Success")
    return answers.sync({})


async def delete(call: Call) -> web.StreamResponse:
    row = call.gateway.trust.find(call.vars["fingerprint"])
    await call.gateway.trust.remove(row.fingerprint)
    await call.manager.store.append_audit(call.caller, "trust-remove", {"name": row.name}, result="Success")
    return answers.sync({})


ROUTES = [
    Route("GET", "/1.0/certificates", list_all, Access.TRUSTED),
    Route("POST", "/1.0/certificates", create, Access.PUBLIC),
    Route("GET", "/1.0/certificates/{fingerprint}", read, Access.TRUSTED),
    Route("PUT", "/1.0/certificates/{fingerprint}", change, Access.SERVER),
    Route("PATCH", "/1.0/certificates/{fingerprint}", change, Access.SERVER),
    Route("DELETE", "/1.0/certificates/{fingerprint}", delete, Access.SERVER),
]
