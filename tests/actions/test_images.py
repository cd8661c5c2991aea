"""Images to all hosts or none, on real LXD and Incus daemons."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from aiohttp import web

from lxdpm_tui.actions import image_host, images
from lxdpm_tui.actions.image_body import new_spool_file
from lxdpm_tui.actions.image_host import Alias, delete_image, read_alias, restore_alias, set_alias
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet import watch
from lxdpm_tui.hosts.transport import Deadlines
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests.actions.images import ended, held, holders, new_image, off, targets, until, until_silent
from tests.lab.lab import Lab

ALL = {"h1", "h2", "h3", "i1"}


async def test_a_file_reaches_all_hosts(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "file")
    task = await manager.run("image-import", source=str(path), aliases=["web", "web/2"], public=True)
    await ended(task)
    assert await holders(clean_lab, fingerprint) == ALL
    assert await targets(clean_lab, "web") == await targets(clean_lab, "web/2") == dict.fromkeys(ALL, fingerprint)
    for host in (await held(clean_lab)).values():
        image = host["images"][fingerprint]
        assert (image["public"], image["filename"], image["properties"]["os"]) == (True, path.name, "busybox")
    assert {host["status"] for host in task.hosts.values()} == {"done"}
    assert task.metadata["fingerprint"] == fingerprint
    assert task.metadata["size"] == str(path.stat().st_size)


async def test_a_split_image(manager: Manager, clean_lab: Lab, tmp_path: Path) -> None:
    metadata, rootfs = split_image(tmp_path)
    await ended(await manager.run("image-import", source=str(metadata), rootfs=str(rootfs)))
    fingerprint = hashlib.sha256(metadata.read_bytes() + rootfs.read_bytes()).hexdigest()
    assert await holders(clean_lab, fingerprint) == ALL


async def test_what_was_there_stays_as_it_was(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "there")
    await ended(await manager.run("image-import", source=str(path), hosts=["h2"], aliases=["mine"]))
    before = (await held(clean_lab))["h2"]
    task = await ended(await manager.run("image-import", source=str(path), public=True, aliases=["ours"]))
    assert await holders(clean_lab, fingerprint) == ALL
    after = (await held(clean_lab))["h2"]
    image, was = after["images"][fingerprint], before["images"][fingerprint]
    assert {alias["name"] for alias in image.pop("aliases")} == {"mine", "ours"}
    was.pop("aliases")
    assert image == was
    assert task.hosts["h2"]["status"] == "done"


async def test_one_host_that_refuses(manager: Manager, clean_lab: Lab) -> None:
    for name in ALL - {"h3"}:
        await off(
            clean_lab.hosts[name].api, "POST", "/1.0/projects", {"name": "p", "config": {"features.images": "true"}}
        )
    before = await held(clean_lab, ALL - {"h3"}, "p")
    path, fingerprint = new_image(clean_lab, "refused", 1 << 20)
    task = await manager.run("image-import", source=str(path), project="p", aliases=["a"])
    await ended(task, Status.FAILURE)
    assert task.error.startswith("h3: ")
    assert "h3" in task.hosts["h3"]["error"]
    assert await held(clean_lab, ALL - {"h3"}, "p") == before
    assert await holders(clean_lab, fingerprint) == set()


@pytest.mark.parametrize("victim", ["h1", "h2", "h3", "i1"])
async def test_one_host_that_dies_midway(manager: Manager, clean_lab: Lab, victim: str) -> None:
    """By turns a host on a unix socket, on https, on ssh, and Incus."""
    before = await held(clean_lab)
    path, fingerprint = new_image(clean_lab, "dies", 24 << 20)
    task = await manager.run("image-import", source=str(path), aliases=["a"])
    await until(task, lambda t: 0 < t.hosts[victim].get("progress", 0) < 100)
    await off(clean_lab.hosts[victim].kill)
    await until(task, lambda t: f"undoing on {victim}, waits for" in t.metadata.get("undo", ""))
    assert task.status is Status.RUNNING
    await off(clean_lab.hosts[victim].start)
    await ended(task, Status.FAILURE)
    assert task.error.startswith(f"{victim}: ")
    assert await holders(clean_lab, fingerprint) == set()
    assert await held(clean_lab) == before


async def test_one_host_that_hangs_midway(manager: Manager, clean_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await held(clean_lab)
    path, fingerprint = new_image(clean_lab, "hangs", 24 << 20)
    task = await manager.run("image-import", source=str(path))
    await until(task, lambda t: 0 < t.hosts["h2"].get("progress", 0) < 100)
    monkeypatch.setattr(image_host, "QUICK", Deadlines(connect=2.0, first_byte=2.0, idle=2.0))
    with clean_lab.hosts["h2"].hung():
        assert task.cancel()  # a hung host is found by the silence limit; a person is faster
        await until(task, lambda t: "undoing on h2, waits for h2" in t.metadata.get("undo", ""))
    await ended(task, Status.CANCELLED)
    assert await holders(clean_lab, fingerprint) == set()
    assert await held(clean_lab) == before


async def test_aliases_that_had_moved_go_back(manager: Manager, clean_lab: Lab) -> None:
    old = clean_lab.image_fingerprint
    for name in ("h1", "i1"):
        body = {"name": "stable", "target": old, "description": f"of {name}"}
        await off(clean_lab.hosts[name].api, "POST", "/1.0/images/aliases", body)
    before = await held(clean_lab)
    path, fingerprint = new_image(clean_lab, "moves")
    with pytest.raises(AssertionError, match="already exists"):
        await ended(await manager.run("image-import", source=str(path), aliases=["stable"]))
    assert await held(clean_lab) == before

    task = await manager.run("image-import", source=str(path), aliases=["stable"], reuse=True)
    moved = asyncio.Event()
    task.subscribe(lambda t: moved.set() or t.cancel() if t.hosts["h1"]["status"] == "done" else None)
    await ended(task, Status.CANCELLED)
    assert moved.is_set()
    assert await held(clean_lab) == before

    await ended(await manager.run("image-import", source=str(path), aliases=["stable"], reuse=True))
    assert await targets(clean_lab, "stable") == dict.fromkeys(ALL, fingerprint)
    assert await holders(clean_lab, old) == ALL


async def test_an_alias_that_went_along_with_our_image_is_put_back(manager: Manager, clean_lab: Lab) -> None:
    """And one that somebody took away while the image is there is not."""
    path, fingerprint = new_image(clean_lab, "goes")
    await ended(await manager.run("image-import", source=str(path), aliases=["stable"]))
    before: Alias = {"target": clean_lab.image_fingerprint, "description": "as it was"}
    after: Alias = {"target": fingerprint, "description": ""}
    for name in ALL:
        host = manager.fleet.hosts[name]
        await set_alias(host, "default", "stable", None)
        await restore_alias(host, "default", "stable", before, after)
        assert await read_alias(host, "default", "stable") is None
        await set_alias(host, "default", "stable", after)
        await delete_image(host, "default", fingerprint)
        await restore_alias(host, "default", "stable", before, after)
        assert await read_alias(host, "default", "stable") == before


async def test_another_hosts_image(manager: Manager, clean_lab: Lab, tmp_path: Path) -> None:
    """Unified and split, and the properties go with it."""
    path, unified = new_image(clean_lab, "other")
    metadata, rootfs = split_image(tmp_path)
    split = hashlib.sha256(metadata.read_bytes() + rootfs.read_bytes()).hexdigest()
    await ended(await manager.run("image-import", source=str(path), hosts=["i1"], aliases=["theirs"]))
    await ended(await manager.run("image-import", source=str(metadata), rootfs=str(rootfs), hosts=["h1"]))
    await off(clean_lab.hosts["i1"].api, "PATCH", f"/1.0/images/{unified}", {"properties": {"note": "a=b&c d/é"}})

    await ended(await manager.run("image-import", source="i1:theirs", aliases=["ours"]))
    assert await holders(clean_lab, unified) == ALL
    assert await targets(clean_lab, "ours") == dict.fromkeys(ALL, unified)
    assert {host["images"][unified]["properties"]["note"] for host in (await held(clean_lab)).values()} == {"a=b&c d/é"}

    await ended(await manager.run("image-import", source=f"h1:{split[:12]}"))
    assert await holders(clean_lab, split) == ALL

    with pytest.raises(ActionError, match="h1: Image not found") as error:
        await manager.run("image-import", source="h1:nothing")
    assert error.value.code == 404


async def test_pulled_from_another_server(manager: Manager, clean_lab: Lab, tmp_path: Path) -> None:
    """The server is h1's own HTTPS API, to which the others are strangers."""
    path, fingerprint = new_image(clean_lab, "public")
    await ended(await manager.run("image-import", source=str(path), hosts=["h1"], aliases=["shared"], public=True))
    pem = tmp_path / "h1.crt"
    pem.write_text(clean_lab.hosts["h1"].certificate)
    server = f"https://{clean_lab.hosts['h1'].address}:8443"
    before = await held(clean_lab)

    missing = await manager.run("image-import", source=f"lxd+{server}#nothing", certificate=str(pem), aliases=["a"])
    await ended(missing, Status.FAILURE)
    assert await held(clean_lab) == before

    await ended(await manager.run("image-import", source=f"lxd+{server}#shared", certificate=str(pem), aliases=["a"]))
    assert await holders(clean_lab, fingerprint) == ALL
    assert await targets(clean_lab, "a") == dict.fromkeys(ALL, fingerprint)
    after = await held(clean_lab)
    for name in ALL:
        assert after[name]["projects"] == before[name]["projects"]
        assert not after[name]["images"][fingerprint]["public"] or name == "h1"
    assert {name: host["images"][fingerprint]["properties"] for name, host in after.items()} == dict.fromkeys(
        ALL, after["h1"]["images"][fingerprint]["properties"]
    )


async def test_pulled_from_a_url(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "url")

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path == "/image":
            return web.FileResponse(path)
        where = f"http://{request.host}/image"
        names = {f"{kind}-Image-{key}": value for kind in ("LXD", "Incus") for key, value in (
            ("Hash", fingerprint), ("URL", where),
        )}  # fmt: skip
        return web.Response(headers=names)

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    site = web.TCPSite(runner, clean_lab.layout.gateway, 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        body = {
            "source": {"type": "url", "url": f"http://{clean_lab.layout.gateway}:{port}/"},
            "aliases": [{"name": "seed", "description": "the seed's own call"}],
            "properties": {"os": "Ubuntu"},
            "public": True,
            "filename": "f",
        }
        await ended(await images.import_json(manager, body))
    finally:
        await runner.cleanup()
    for host in (await held(clean_lab)).values():
        image = host["images"][fingerprint]
        assert (image["public"], image["filename"], image["properties"]["os"]) == (True, "f", "Ubuntu")
        assert host["aliases"]["seed"]["description"] == "the seed's own call"


async def test_uploaded_through_the_gateway(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "upload")
    spool = new_spool_file(manager.paths.state_dir)
    spool.write_bytes(path.read_bytes())
    headers = {"X-Incus-Filename": "f.tar.gz", "X-Incus-Public": "true", "X-Incus-Properties": "os=Ubuntu&alias=x%20y"}
    task = await images.import_upload(manager, spool, "application/octet-stream", headers)
    await images.succeeded(task)
    for host in (await held(clean_lab)).values():
        image = host["images"][fingerprint]
        assert (image["filename"], image["public"]) == ("f.tar.gz", True)
        assert (image["properties"]["os"], image["properties"]["alias"]) == ("Ubuntu", "x y")


async def test_an_upload_that_all_have_is_refused(manager: Manager, clean_lab: Lab) -> None:
    """As one host refuses it; where one lacks it, it gets it. What it was said to be must fit."""
    path, fingerprint = new_image(clean_lab, "again")

    async def upload(**headers: str) -> Task:
        spool = new_spool_file(manager.paths.state_dir)
        spool.write_bytes(path.read_bytes())
        return await images.import_upload(manager, spool, "application/octet-stream", headers)

    await images.succeeded(await upload())
    with pytest.raises(ActionError, match="same fingerprint already exists"):
        await upload()
    await asyncio.to_thread(clean_lab.hosts["h2"].api, "DELETE", f"/1.0/images/{fingerprint}")
    await images.succeeded(await upload(**{"X-LXD-fingerprint": fingerprint}))
    assert await holders(clean_lab, fingerprint) == set(clean_lab.hosts)
    with pytest.raises(ActionError, match="fingerprints don't match"):
        await upload(**{"X-LXD-fingerprint": "0" * 64})


async def test_an_upload_that_is_no_image(manager: Manager, clean_lab: Lab) -> None:
    before = await held(clean_lab)
    spool = new_spool_file(manager.paths.state_dir)
    spool.write_bytes(b"garbage")
    task = await images.import_upload(manager, spool, "application/octet-stream", {})
    await ended(task, Status.FAILURE)
    assert "Unsupported compression" in task.error
    assert await held(clean_lab) == before
    spool = new_spool_file(manager.paths.state_dir)
    spool.write_bytes(b"--x\r\nnonsense")
    with pytest.raises(ActionError, match="Invalid multipart image"):
        await images.import_upload(manager, spool, "multipart/form-data; boundary=x", {})


async def test_a_host_that_is_down_makes_it_refuse(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "down")
    await off(clean_lab.hosts["h3"].kill)
    await until_silent(manager, "h3")
    with pytest.raises(ActionError, match="No host was changed: cannot ask h3: ") as error:
        await manager.run("image-import", source=str(path))
    assert error.value.code == 503
    with pytest.raises(ActionError, match="there is no host 'h9'"):
        await manager.run("image-import", source=str(path), hosts=["h9"])

    task = await ended(await manager.run("image-import", source=str(path), aliases=["later"], pending=True))
    assert task.hosts["h3"]["status"] == "pending"
    (row,) = await manager.store.list_pending()
    assert (row.host, row.args["fingerprint"]) == ("h3", fingerprint)
    done = asyncio.Event()
    manager.tasks.subscribe(lambda t: done.set() if t is not task and t.status.final else None)
    await off(clean_lab.hosts["h3"].start)
    manager.fleet.watch("h3").retry_now()
    await asyncio.wait_for(done.wait(), 90)
    assert await holders(clean_lab, fingerprint) == ALL
    assert await targets(clean_lab, "later") == dict.fromkeys(ALL, fingerprint)
    async with asyncio.timeout(60):
        while await manager.store.list_pending():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)


async def test_delete_everywhere(manager: Manager, clean_lab: Lab) -> None:
    before = await held(clean_lab)
    path, fingerprint = new_image(clean_lab, "gone")
    await ended(await manager.run("image-import", source=str(path), aliases=["gone"], hosts=["h1", "h2", "i1"]))
    task = await ended(await manager.run("image-delete", fingerprint="gone"))
    assert task.hosts == {name: {"status": "deleted"} for name in ("h1", "h2", "i1")}
    assert await holders(clean_lab, fingerprint) == set()
    assert await held(clean_lab) == before
    with pytest.raises(ActionError, match="Image not found") as error:
        await manager.run("image-delete", fingerprint=fingerprint)
    assert error.value.code == 404


async def test_delete_with_a_host_that_is_down(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "partly")
    await ended(await manager.run("image-import", source=str(path)))
    await off(clean_lab.hosts["h2"].kill)
    await until_silent(manager, "h2")
    with pytest.raises(ActionError, match="Nothing was deleted: cannot ask h2: ") as error:
        await manager.run("image-delete", fingerprint=fingerprint)
    assert error.value.code == 503
    task = await ended(await manager.run("image-delete", fingerprint=fingerprint, force=True))
    assert task.hosts["h2"]["status"] == "left out"
    assert task.hosts["h2"]["error"]
    await off(clean_lab.hosts["h2"].start)
    assert await holders(clean_lab, fingerprint) == {"h2"}


async def test_delete_says_which_host_could_not(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "stays")
    await ended(await manager.run("image-import", source=str(path)))
    task = await manager.run("image-delete", fingerprint=fingerprint)
    clean_lab.hosts["h3"].kill()  # before anything was sent: the task has not had its first turn
    await ended(task, Status.FAILURE)
    assert task.error.startswith("h3: ")
    assert {name: host["status"] for name, host in task.hosts.items()} == {
        "h1": "deleted", "h2": "deleted", "h3": "failed", "i1": "deleted",
    }  # fmt: skip
    await off(clean_lab.hosts["h3"].start)
    assert await holders(clean_lab, fingerprint) == {"h3"}


async def test_two_tasks_do_not_share_an_image(
    manager: Manager, clean_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ASK", Deadlines(first_byte=120.0))  # h2 is not given up, however the machine stalls
    path, fingerprint = new_image(clean_lab, "twice", 8 << 20)
    with clean_lab.hosts["h2"].hung():  # until the second is refused the first cannot end
        task = await manager.run("image-import", source=str(path))
        with pytest.raises(ActionError, match=f"task {task.id} works on it") as error:
            await manager.run("image-import", source=str(path), hosts=["h1"])
    assert error.value.code == 409
    await ended(task)
    assert await holders(clean_lab, fingerprint) == ALL


async def test_make_available_copies_once_for_many(manager: Manager, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "need")
    await ended(await manager.run("image-import", source=str(path), hosts=["h1"]))
    await manager.fleet.watch("h1").read_now("images")
    before = set(manager.tasks.tasks)
    await asyncio.gather(*(images.make_available(manager, fingerprint, "default", "i1") for _ in range(10)))
    assert await holders(clean_lab, fingerprint) == {"h1", "i1"}
    assert len(set(manager.tasks.tasks) - before) == 1


async def test_a_file_that_cannot_be_read(manager: Manager) -> None:
    with pytest.raises(ActionError, match="No such file"):
        await manager.run("image-import", source="/nothing/here.tar.gz")


def split_image(folder: Path) -> tuple[Path, Path]:
    """Files of an image in two parts: metadata, root file system."""
    metadata, rootfs = folder / "metadata.tar.gz", folder / "rootfs.tar.gz"
    text = b"architecture: x86_64\ncreation_date: 1700000000\nproperties:\n  description: split\n"
    for path, name, content in ((metadata, "metadata.yaml", text), (rootfs, "etc/random", os.urandom(1 << 20))):
        with tarfile.open(path, "w:gz") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return metadata, rootfs
