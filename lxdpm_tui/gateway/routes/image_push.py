"""The other half of an image copy in push mode: another server sends the image, by a secret that a client got here."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.tasks.task import Task, text_of


def await_pushed(call: Call, source: dict[str, Any]) -> web.StreamResponse:
    """A token: the client gives its secret to the server that has the image. Raises ActionError 400."""
    fingerprint = source.get("fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint:
        raise ActionError("source.fingerprint is needed: which image will be sent")
    now = text_of(time.time())
    shown = {
        "id": str(uuid.uuid4()),
        "class": "token",
        "description": "Image download token",
        "created_at": now,
        "updated_at": now,
        "status": "Running",
        "status_code": 103,
        "resources": {"images": [f"/1.0/images/{fingerprint}"]},
        "metadata": {"secret": call.gateway.uploads.make(call.project, fingerprint), "fingerprint": fingerprint},
        "may_cancel": False,
        "err": "",
        "location": "",
    }
    return answers.operation(shown)


async def take_pushed(call: Call, upload: Callable[[Call, bytes], Awaitable[Task]]) -> web.StreamResponse:
    """What a stranger sends is taken if it comes with such a secret, by which it may then wait for the end too.

    upload: takes the body and distributes it. Raises ActionError 403.
    """
    given = {k.lower().removeprefix("x-lxd-").removeprefix("x-incus-"): v for k, v in call.request.headers.items()}
    fingerprint, secret = given.get("fingerprint", ""), given.get("secret", "")
    if not call.gateway.uploads.take(call.project, fingerprint, secret):
        raise ActionError("not authorized", 403)
    task = await upload(call, b"")
    task.update(metadata={"secret": secret})
    arguments = {"fingerprint": fingerprint, "project": call.project}
    await call.manager.store.append_audit(call.caller, "image-import", arguments, result="pushed by another server")
    operation = call.gateway.hub.operations.of_task(task)
    return answers.operation({**operation.shown, "id": task.id})
