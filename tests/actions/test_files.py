"""Files into instances and out of them, on real daemons over all transports."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from lxdpm_tui.hosts.files import Files, gone
from lxdpm_tui.hosts.transport import ApiError
from lxdpm_tui.tasks.task import Status, Task
from tests.console.inside.window import make
from tests.lab.lab import Lab
from tests.managing import done, managing, paths_of, refused

HOSTS = ("h1", "h2", "h3", "i1")


def tree(folder: Path) -> Path:
    """A directory with a bit of everything."""
    top = folder / "top"
    (top / "sub" / "empty").mkdir(parents=True)
    (top / "run me.sh").write_text("#!/bin/sh\necho ran\n")
    (top / "run me.sh").chmod(0o750)
    (top / "nothing").write_bytes(b"")
    (top / "sub" / "ü%20&=?.bin").write_bytes(os.urandom(300_000))
    (top / "link").symlink_to("sub/ü%20&=?.bin")
    (top / "dangling").symlink_to("/not/there")
    (top / "sub").chmod(0o711)
    os.mkfifo(top / "pipe")
    return top


def seen(top: Path) -> dict[str, tuple[str, int, str]]:
    """Every path below: kind, mode, content's hash or link's target. Pipes are left out."""
    found = {}
    for path in sorted(top.rglob("*")):
        mode = path.lstat().st_mode & 0o777
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = ("link", 0, os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", mode, "")
        elif path.is_file():
            found[name] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


async def there(files: Files, path: str) -> bool:
    try:
        await files.look(path)
    except ApiError as error:
        if gone(error):
            return False
        raise
    return True


async def begun(task: Task) -> None:
    """Until some of it has been transferred."""
    some = asyncio.Event()
    undo = task.subscribe(lambda task: some.set() if any(s.get("progress") for s in task.hosts.values()) else None)
    async with asyncio.timeout(120):
        await some.wait()
    undo()


async def test_a_tree_goes_in_and_comes_out_the_same(clean_lab: Lab, tmp_path: Path) -> None:
    for host in HOSTS:
        make(clean_lab, host, f"c-{host}")
    top = tree(tmp_path)
    async with managing(clean_lab, tmp_path) as manager:
        names = [f"c-{host}" for host in HOSTS]
        task = await done(manager, "file-push", source=str(top), instances=names, to="/root/")
        assert all(state["progress"] == 100 and state["files"] == 3 for state in task.hosts.values())
        await done(manager, "file-push", source=str(top), instances=names, to="/root/")  # once more, over it
        for host in HOSTS:
            out = tmp_path / f"out-{host}"
            await done(manager, "file-pull", instance=f"c-{host}", path="/root/top", to=str(out))
            assert seen(out) == seen(top)
            cli = clean_lab.hosts[host].cli
            ran = await asyncio.to_thread(cli, "exec", f"c-{host}", "--", "/root/top/run me.sh")
            assert ran == "ran\n"


async def test_single_files(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h2", "c1")
    file = tmp_path / "a.txt"
    file.write_text("one")
    async with managing(clean_lab, tmp_path) as manager:
        files = Files(manager.fleet.hosts["h2"], "c1")
        await done(manager, "file-push", source=str(file), instances=["c1"], to="/root", uid=7, gid=8)
        entry = await files.look("/root/a.txt")
        assert (entry.uid, entry.gid, entry.size) == (7, 8, 3)
        await done(manager, "file-push", source=str(file), instances=["c1"], to="/root/b.txt")
        (tmp_path / "b.txt").write_text("before")
        await done(manager, "file-pull", instance="c1", path="/root/b.txt", to=str(tmp_path))
        assert (tmp_path / "b.txt").read_text() == "one"
        await done(manager, "file-pull", Status.FAILURE, instance="c1", path="/nothere", to=str(tmp_path / "x"))
        assert not (tmp_path / "x").exists()
        await refused(manager, "file-push", 404, "No such file", source="/nothere", instances=["c1"], to="/root")
        await refused(manager, "file-push", 400, "begins with /", source=str(file), instances=["c1"], to="root")
        task = await done(manager, "file-push", Status.FAILURE, source=str(file), instances=["c1"], to="/proc/nothere/")
        assert task.hosts["h2:c1"]["status"] == "failed"


@pytest.mark.parametrize("host", HOSTS)
async def test_what_is_cancelled_leaves_nothing_half(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    make(clean_lab, host, "c1")
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "1-small").write_text("small")
    with (folder / "2-big").open("wb") as big:
        big.truncate(3 << 30)  # a hole: it takes no room here
    async with managing(clean_lab, tmp_path) as manager:
        files = Files(manager.fleet.hosts[host], "c1")
        task = await manager.run("file-push", source=str(folder), instances=["c1"], to="/root/")
        await begun(task)
        task.cancel()
        assert await task.wait(120) is Status.CANCELLED
        assert not await there(files, "/root/big")
        assert await there(files, "/root")

        # Beside the loop: an SSH channel of what was cancelled may still be opening, which LXD's socket waits for.
        words = ("mkdir /d", "dd if=/dev/null of=/d/z bs=1M seek=3000", "echo a >/d/a")
        await asyncio.to_thread(clean_lab.hosts[host].cli, "exec", "c1", "--", "sh", "-c", "; ".join(words))
        out = tmp_path / "out"
        task = await manager.run("file-pull", instance="c1", path="/d", to=str(out))
        await begun(task)
        task.cancel()
        assert await task.wait(120) is Status.CANCELLED
        assert not out.exists()


async def killed_in(lab: Lab, folder: Path, host: str, big: str, *words: str) -> None:
    """A manager of its own that pushes until a part of that file is in the instance c1; then SIGKILL."""
    paths = paths_of(lab, folder)
    options = ["--hosts", str(paths.hosts_file), "--state", str(paths.state_dir)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lxdpm_tui", *options, "file-push", *words, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(120):
            while True:
                said = await asyncio.to_thread(
                    lab.hosts[host].cli, "exec", "c1", "--", "sh", "-c", f"stat -c %s {big} 2>/dev/null || echo 0"
                )
                if int(said.strip() or 0) > 1 << 20:
                    break
                assert process.returncode is None, (await process.communicate())[1].decode()
                await asyncio.sleep(0.05)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def hole(path: Path) -> Path:
    """A large file that takes no room here."""
    with path.open("wb") as file:
        file.truncate(3 << 30)
    return path


@pytest.mark.parametrize("host", ["h1", "h2", "i1"])
async def test_a_push_that_a_kill_cut_off_is_taken_back(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    """At the next start of a manager: what was new goes, what was there before stays."""
    make(clean_lab, host, "c1")
    cli = clean_lab.hosts[host].cli
    cli("exec", "c1", "--", "sh", "-c", "mkdir -p /d/big/sub; echo old >/d/big/sub/kept; echo old >/d/big/whole")
    folder = tmp_path / "big"
    (folder / "new" / "deep").mkdir(parents=True)
    (folder / "sub").mkdir()
    (folder / "sub" / "added").write_text("new")
    (folder / "a").write_text("new")
    (folder / "new" / "deep" / "b").write_text("new")
    (folder / "whole").write_text("new and whole")
    (folder / "link").symlink_to("a")
    hole(folder / "x-huge")
    await killed_in(clean_lab, tmp_path, host, "/d/big/x-huge", str(folder), "c1", "--to", "/d/")
    assert "big/new/deep/b" in cli("exec", "c1", "--", "find", "/d"), "some of it is there"
    async with managing(clean_lab, tmp_path) as manager:
        [task] = manager.tasks.tasks.values()
        assert await task.wait(120) is Status.FAILURE
        assert task.error == "the manager was stopped in the middle of it; what had been done was undone"
        assert await manager.store.open_tasks() == []
    found = sorted(cli("exec", "c1", "--", "find", "/d").split())
    assert found == ["/d", "/d/big", "/d/big/sub", "/d/big/sub/kept", "/d/big/whole"]
    assert cli("file", "pull", "c1/d/big/sub/kept", "-") == "old\n"
    assert cli("file", "pull", "c1/d/big/whole", "-") == "new and whole", "what had been replaced is whole"


async def test_what_a_kill_left_half_in_place_of_something_is_said(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h1", "c1")
    cli = clean_lab.hosts["h1"].cli
    cli("exec", "c1", "--", "sh", "-c", "echo old >/root/huge")
    await killed_in(clean_lab, tmp_path, "h1", "/root/huge", str(hole(tmp_path / "huge")), "c1", "--to", "/root/")
    async with managing(clean_lab, tmp_path) as manager:
        [task] = manager.tasks.tasks.values()
        assert await task.wait(120) is Status.FAILURE
        assert "h1: c1: /root/huge was being replaced: what it held is lost" in task.error
    assert "huge" not in cli("exec", "c1", "--", "ls", "/root"), "nothing half is left"


async def test_other_peoples_files_are_not_taken_back(clean_lab: Lab, tmp_path: Path) -> None:
    """A directory that is not empty when what we made in it is gone stays, and that is said."""
    make(clean_lab, "h1", "c1")
    cli = clean_lab.hosts["h1"].cli
    folder = tmp_path / "big"
    folder.mkdir()
    hole(folder / "x-huge")
    await killed_in(clean_lab, tmp_path, "h1", "/root/big/x-huge", str(folder), "c1", "--to", "/root/")
    cli("exec", "c1", "--", "sh", "-c", "echo theirs >/root/big/theirs")
    async with managing(clean_lab, tmp_path) as manager:
        [task] = manager.tasks.tasks.values()
        assert await task.wait(120) is Status.FAILURE
        assert "c1: /root/big is left" in task.error
    assert cli("exec", "c1", "--", "ls", "/root/big") == "theirs\n"


async def test_what_one_instance_has_stays_when_another_fails(clean_lab: Lab, tmp_path: Path) -> None:
    for name in ("c1", "c2"):
        make(clean_lab, "h1", name)
    clean_lab.hosts["h1"].cli("exec", "c2", "--", "sh", "-c", "mkdir -p /root/d; echo in the way >/root/d/sub")
    folder = tmp_path / "d"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub" / "b").write_text("b")
    async with managing(clean_lab, tmp_path) as manager:
        task = await done(manager, "file-push", Status.FAILURE, source=str(folder), instances=["c1", "c2"], to="/root/")
        assert task.hosts["h1:c1"]["status"] == "done"
        assert task.hosts["h1:c2"]["status"] == "failed"
        first, second = (Files(manager.fleet.hosts["h1"], name) for name in ("c1", "c2"))
        assert await there(first, "/root/d/sub/b")
        assert not await there(second, "/root/d/a")
        assert (await second.look("/root/d/sub")).kind == "file"


async def test_an_instance_cannot_lead_us_elsewhere(clean_lab: Lab, tmp_path: Path) -> None:
    """A link that stands where a directory is to be made is not followed."""
    make(clean_lab, "h1", "c1")
    clean_lab.hosts["h1"].cli("exec", "c1", "--", "sh", "-c", "mkdir -p /d/sub; echo evil > /d/sub/file")
    victim = tmp_path / "victim"
    victim.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    (out / "d").mkdir()
    (out / "d" / "sub").symlink_to(victim)
    async with managing(clean_lab, tmp_path) as manager:
        await done(manager, "file-pull", Status.FAILURE, instance="c1", path="/d", to=str(out))
    assert list(victim.iterdir()) == []
