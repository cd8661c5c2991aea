"""The manager is killed with SIGKILL while it distributes an image, and started again: no host changed, or all.

Must-show 6 of the first system. Real daemons, a real second process; moments as in image_driver.py.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.tasks.task import Status
from tests.actions.images import ended, held, managed, new_image, off, paths_of
from tests.lab.lab import Lab

ROOT = Path(__file__).parents[2]
SIZE = 12 << 20  # bytes: some 25 chunks a host

UPLOAD = [
    "intended:1",
    "intended:3",
    "chunk:1",
    "chunk:40",
    "sent:1",
    "sent:4",
    "POST /1.0/images:1",
    "POST /1.0/images:4",
    "intended:5",
    "POST /1.0/images/aliases:1",
    "POST /1.0/images/aliases:3",
    "committed:1",
]
PULL = [
    "intended:1",
    "POST /1.0/projects:1",
    "POST /1.0/images:1",
    "DELETE /1.0/images:1",
    "DELETE /1.0/projects:1",
    "intended:2",
    "sent:2",
    "committed:1",
]
DELETE = ["intended:1", "DELETE /1.0/images:1", "DELETE /1.0/images:3", "committed:1"]


async def killed(lab: Lab, folder: Path, moment: str, action: str, **arguments: Any) -> None:
    """Run a manager that does the action until it kills itself."""
    paths = paths_of(lab, folder)
    given = {"hosts": str(paths.hosts_file), "state": str(paths.state_dir), "action": action, "arguments": arguments}
    (folder / "driver.json").write_text(json.dumps(given))
    driver = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.actions.image_driver", str(folder), moment, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(driver.communicate(), 120)
    assert driver.returncode == -signal.SIGKILL, f"it never came to {moment}: {output.decode()}"


async def recovered(lab: Lab, folder: Path, status: Status) -> None:
    """Start a manager on what the dead one left, and wait until it has dealt with it."""
    async with managed(lab, folder) as manager:
        (task,) = manager.tasks.tasks.values()
        await ended(task, status)
        assert await manager.store.open_tasks() == []
        assert all(step.undone for step in await manager.store.list_steps(task.id)) or status is Status.SUCCESS
        assert list((folder / "state" / "spool").glob("*")) == []


def with_image(before: dict[str, Any], after: dict[str, Any], fingerprint: str, alias: str) -> None:
    """Check that all hosts have the image and the alias, and else what they had."""
    for name, host in after.items():
        image = host["images"].pop(fingerprint)
        assert image["size"] > SIZE, name
        assert host["aliases"].pop(alias)["target"] == fingerprint, name
    assert after == before


@pytest.mark.parametrize("moment", UPLOAD)
async def test_upload(clean_lab: Lab, tmp_path: Path, moment: str) -> None:
    path, fingerprint = await off(new_image, clean_lab, "killed", SIZE)
    # An alias that is there and moves, and one that is new, both have to come back.
    api = clean_lab.hosts["h2"].api
    await off(
        api, "POST", "/1.0/images/aliases", {"name": "b", "target": clean_lab.image_fingerprint, "description": "x"}
    )
    before = await held(clean_lab)
    await killed(clean_lab, tmp_path, moment, "image-import", source=str(path), aliases=["b"], reuse=True)
    committed = moment == "committed:1"
    await recovered(clean_lab, tmp_path, Status.SUCCESS if committed else Status.FAILURE)
    after = await held(clean_lab)
    if committed:
        before["h2"]["aliases"].pop("b")
        before["h2"]["images"][clean_lab.image_fingerprint]["aliases"] = [
            alias for alias in before["h2"]["images"][clean_lab.image_fingerprint]["aliases"] if alias["name"] != "b"
        ]
        with_image(before, after, fingerprint, "b")
    else:
        assert after == before


@pytest.mark.parametrize("moment", PULL)
async def test_pull(clean_lab: Lab, tmp_path: Path, moment: str) -> None:
    path, fingerprint = await off(new_image, clean_lab, "killed", SIZE)
    # The server that hosts pull from is one of them: h3 holds it already, and keeps its copy as it is.
    body = await off(path.read_bytes)
    h3 = clean_lab.hosts["h3"]
    headers = {"Content-Type": "application/octet-stream", "X-LXD-public": "true"}
    await off(h3.api, "POST", "/1.0/images", body, headers)
    await off(h3.api, "POST", "/1.0/images/aliases", {"name": "served", "target": fingerprint})
    pem = tmp_path / "h3.crt"
    pem.write_text(h3.certificate)
    before = await held(clean_lab)
    await killed(
        clean_lab, tmp_path, moment, "image-import", source=f"lxd+https://{h3.address}:8443#served",
        certificate=str(pem), aliases=["a"],
    )  # fmt: skip
    committed = moment == "committed:1"
    await recovered(clean_lab, tmp_path, Status.SUCCESS if committed else Status.FAILURE)
    after = await held(clean_lab)
    if committed:
        assert all(host["aliases"]["a"]["target"] == fingerprint for host in after.values())
        assert {name: host["projects"] for name, host in after.items()} == {
            name: host["projects"] for name, host in before.items()
        }
    else:
        assert after == before


@pytest.mark.parametrize("moment", DELETE)
async def test_delete(clean_lab: Lab, tmp_path: Path, moment: str) -> None:
    """A deletion cannot be undone; once it was begun it is finished."""
    before = await held(clean_lab)
    path, fingerprint = await off(new_image, clean_lab, "killed")
    async with managed(clean_lab, tmp_path) as manager:
        await ended(await manager.run("image-import", source=str(path), aliases=["a"]))
        everywhere = await held(clean_lab)
    await killed(clean_lab, tmp_path, moment, "image-delete", fingerprint=fingerprint)
    async with managed(clean_lab, tmp_path) as manager:
        (task,) = manager.tasks.tasks.values()
        await ended(task)
    after = await held(clean_lab)
    assert after == before
    assert everywhere != before


async def test_a_host_is_down_when_it_starts_again(clean_lab: Lab, tmp_path: Path) -> None:
    """The undo waits for it, says so, and is done when it is back."""
    path, _ = await off(new_image, clean_lab, "killed", SIZE)
    before = await held(clean_lab)
    await killed(clean_lab, tmp_path, "POST /1.0/images:4", "image-import", source=str(path), aliases=["a"])
    await off(clean_lab.hosts["h2"].kill)
    async with managed(clean_lab, tmp_path, hosts=["h1", "h3", "i1"]) as manager:
        (task,) = manager.tasks.tasks.values()
        waiting = asyncio.Event()
        task.subscribe(lambda t: waiting.set() if t.hosts["h2"].get("waits_for") else None)
        if not task.hosts["h2"].get("waits_for"):
            await asyncio.wait_for(waiting.wait(), 60)
        assert "undoing on h2, waits for h2: " in task.metadata["undo"]
        assert task.status is Status.RUNNING
        await off(clean_lab.hosts["h2"].start)
        await ended(task, Status.FAILURE)
    assert await held(clean_lab) == before
