"""The stock clients `lxc` and `incus` on the gateway's unix socket, looked at on every host; tests/clients has more."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.gateway.server import Gateway
from tests.actions.images import held, holders, new_image
from tests.gateway import direct
from tests.gateway.client import Client
from tests.lab.lab import Lab
from tests.lab.run import PATH

ALL = ("h1", "h2", "h3", "i1")


@dataclass
class Done:
    code: int
    out: str
    err: str
    raw: bytes = b""


class Stock:
    """`lxc` or `incus` with the gateway as its default remote."""

    def __init__(self, program: str, folder: Path, socket: Path) -> None:
        self.program = program
        self.folder = folder
        self.environment = {
            "PATH": PATH,
            "HOME": str(folder),
            "LXD_CONF": str(folder),
            "INCUS_CONF": str(folder),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        folder.mkdir()
        protocol = "lxd" if program == "lxc" else "incus"
        (folder / "config.yml").write_text(
            "default-remote: fleet\nremotes:\n  fleet:\n"
            f"    addr: unix:{socket}\n    public: false\n    protocol: {protocol}\naliases: {{}}\n"
        )

    async def run(self, *words: str, stdin: bytes = b"", deadline: float = 90.0) -> Done:
        process = await asyncio.create_subprocess_exec(
            self.program,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=self.folder,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin), deadline)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            raise AssertionError(f"{words} hangs: {out!r} {err!r}") from None
        assert process.returncode is not None
        return Done(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), out)

    async def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Standard output of a command that must work."""
        done = await self.run(*words, stdin=stdin)
        assert done.code == 0, (words, done.out, done.err)
        return done.out

    async def json(self, *words: str) -> Any:
        return json.loads(await self(*words, "--format", "json"))

    @asynccontextmanager
    async def reading(self, *words: str) -> AsyncIterator[asyncio.StreamReader]:
        """A command that goes on, as `monitor` does, until the block ends; its standard output."""
        process = await asyncio.create_subprocess_exec(
            self.program, *words, stdout=asyncio.subprocess.PIPE, env=self.environment, cwd=self.folder
        )
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]  # else its pipe is closed when it is collected


@pytest.fixture
def lxc(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")


async def each(work: Callable[[str], Any]) -> None:
    """Once for each host, all at the same time."""
    await asyncio.gather(*(work(host) for host in ALL))


@pytest.fixture
async def started(client: Client) -> None:
    """A running instance c-HOST on each host."""
    await each(lambda host: client.create(f"c-{host}", host, start=True))


@pytest.fixture
async def made(client: Client) -> None:
    """A stopped instance c-HOST on each host."""
    await each(lambda host: client.create(f"c-{host}", host))


async def test_remote_add(gateway: Gateway, tmp_path: Path) -> None:
    lxc = Stock("lxc", tmp_path / "lxc", tmp_path / "nothing")
    (lxc.folder / "config.yml").unlink()
    await lxc("remote", "add", "fleet", f"unix:{tmp_path}/fleet.socket")
    assert await lxc.json("list", "fleet:") == []


@pytest.mark.parametrize("program", ["lxc", "incus"])
async def test_launch_list_and_delete(gateway: Gateway, tmp_path: Path, clean_lab: Lab, program: str) -> None:
    stock = Stock(program, tmp_path / program, tmp_path / "fleet.socket")
    await each(lambda host: stock("launch", "busybox", f"c-{host}", "--target", host))
    rows = await stock.json("list")
    assert {row["name"]: (row["location"], row["status"]) for row in rows} == {
        f"c-{host}": (host, "Running") for host in ALL
    }
    for name in ALL:
        assert await direct.ask(clean_lab, name, "GET", "/1.0/instances") == [f"/1.0/instances/c-{name}"]
    text = await stock("list", "--columns", "nsL", "--format", "csv")
    assert sorted(text.split()) == [f"c-{host},RUNNING,{host}" for host in ALL]
    assert await stock("list", "c-h2", "--columns", "n", "--format", "csv") == "c-h2\n"
    await stock("delete", "--force", *(f"c-{host}" for host in ALL))
    assert await stock.json("list") == []


async def test_launch_where_the_planner_says(lxc: Stock, client: Client) -> None:
    await client.done("PUT", "/1.0/planner", {"state": "scatter"})
    text = await lxc("launch", "busybox")
    (row,) = await lxc.json("list")
    assert row["name"] in text
    assert row["location"] in ALL


async def test_info(lxc: Stock, started: None) -> None:
    async def info(host: str) -> None:
        text = await lxc("info", f"c-{host}")
        assert f"Name: c-{host}" in text
        assert "Status: RUNNING" in text
        assert f"Location: {host}" in text

    await each(info)
    assert "server_clustered: true" in await lxc("info")


async def test_rename_and_configure(lxc: Stock, made: None, clean_lab: Lab) -> None:
    async def change(host: str) -> None:
        name = f"d-{host}"
        await lxc("rename", f"c-{host}", name)
        await lxc("config", "set", name, "limits.memory", "64MiB")
        assert await lxc("config", "get", name, "limits.memory") == "64MiB\n"
        await lxc("config", "device", "add", name, "tmp", "disk", "source=/tmp", "path=/mnt")
        assert "limits.memory: 64MiB" in await lxc("config", "show", name)
        await lxc("config", "unset", name, "limits.memory")
        own = await direct.ask(clean_lab, host, "GET", f"/1.0/instances/{name}")
        assert "limits.memory" not in own["config"]
        assert own["devices"]["tmp"]["path"] == "/mnt"

    await each(change)


async def test_profiles(lxc: Stock, made: None, clean_lab: Lab) -> None:
    await lxc("profile", "create", "p")
    await lxc("profile", "set", "p", "limits.cpu", "2")
    edited = (await lxc("profile", "show", "p")).replace('description: ""', "description: edited")
    await lxc("profile", "edit", "p", stdin=edited.encode())
    for host in ALL:
        found = await direct.ask(clean_lab, host, "GET", "/1.0/profiles/p")
        assert (found["description"], found["config"]) == ("edited", {"limits.cpu": "2"})
    await each(lambda host: lxc("profile", "assign", f"c-{host}", "default,p"))
    for host in ALL:
        own = await direct.ask(clean_lab, host, "GET", f"/1.0/instances/c-{host}")
        assert own["profiles"] == ["default", "p"]
    in_use = await lxc.run("profile", "delete", "p")
    assert (in_use.code, "in use" in in_use.err) == (1, True)
    await each(lambda host: lxc("profile", "remove", f"c-{host}", "p"))
    await lxc("profile", "rename", "p", "q")
    assert [row["name"] for row in await lxc.json("profile", "list")] == ["default", "q"]
    await lxc("profile", "delete", "q")
    assert [row["name"] for row in await lxc.json("profile", "list")] == ["default"]


# -- images


async def test_images(lxc: Stock, clean_lab: Lab, tmp_path: Path) -> None:
    path, fingerprint = new_image(clean_lab, "stock")
    await lxc("image", "import", str(path), "--alias", "mine/1", "os=Mine")
    assert await holders(clean_lab, fingerprint) == set(ALL)
    rows = {row["fingerprint"]: row for row in await lxc.json("image", "list")}
    assert rows.keys() == {fingerprint, clean_lab.image_fingerprint}
    assert [alias["name"] for alias in rows[fingerprint]["aliases"]] == ["mine/1"]
    assert rows[fingerprint]["properties"]["os"] == "Mine"
    assert fingerprint in await lxc("image", "info", "mine/1")
    await lxc("image", "export", "mine/1", str(tmp_path / "exported"))
    assert (tmp_path / "exported.tar.gz").read_bytes() == path.read_bytes()
    await lxc("image", "alias", "create", "other", fingerprint)
    assert sorted(row["name"] for row in await lxc.json("image", "alias", "list")) == ["busybox", "mine/1", "other"]
    await lxc("image", "alias", "rename", "other", "third")
    await lxc("image", "alias", "delete", "third")
    assert all(host["aliases"].keys() == {"busybox", "mine/1"} for host in (await held(clean_lab)).values())
    await lxc("launch", "mine/1", "c1")
    await lxc("delete", "--force", "c1")
    await lxc("image", "delete", "mine/1")
    assert await holders(clean_lab, fingerprint) == set()


# -- watching


async def test_monitor(lxc: Stock, clean_lab: Lab, client: Client) -> None:
    heard: set[tuple[str, str, str]] = set()
    wanted = {(f"c-{host}", "instance-created", host) for host in ALL}
    async with lxc.reading("monitor", "--type", "lifecycle", "--format", "json") as lines:

        async def until_connected() -> None:
            """Events before the client listens are not told: make some until it hears one."""
            api, number = clean_lab.hosts["h1"].api, 0
            while True:
                number += 1
                body = {"description": str(number), "target": clean_lab.image_fingerprint}
                await asyncio.to_thread(api, "PUT", "/1.0/images/aliases/busybox", body)

        nudging = asyncio.create_task(until_connected())
        await asyncio.wait_for(lines.readline(), 60)
        nudging.cancel()
        await asyncio.gather(nudging, return_exceptions=True)
        await each(lambda host: client.create(f"c-{host}", host))
        async with asyncio.timeout(60):
            while not heard >= wanted:
                line = await lines.readline()
                assert line, "it ended"
                if not line.strip():
                    continue  # lxc puts an empty line after each
                event = json.loads(line)
                name = event["metadata"]["source"].partition("?")[0].rsplit("/", 1)[1]
                heard.add((name, event["metadata"]["action"], event["location"]))


async def test_operations(lxc: Stock, started: None, client: Client) -> None:
    body = {"command": ["sleep", "60"], "wait-for-websocket": False, "interactive": False, "record-output": False}
    ids = {}
    for host in ALL:
        answer = await client.ask("POST", f"/1.0/instances/c-{host}/exec", body)
        assert answer.status == 202
        ids[answer.metadata["id"]] = host
    rows = {row["id"]: row for row in await lxc.json("operation", "list")}
    assert {id: rows[id]["location"] for id in ids} == ids
    for id, host in ids.items():
        text = await lxc("operation", "show", id)
        assert re.search(rf"^location: {host}$", text, re.MULTILINE)
        assert "status: Running" in text


async def test_cluster_view(lxc: Stock) -> None:
    rows = await lxc.json("cluster", "list")
    assert {row["server_name"]: row["status"] for row in rows} == dict.fromkeys(ALL, "Online")


async def test_errors_reach_the_user(lxc: Stock, made: None) -> None:
    for words, text in (
        (("start", "nothing"), "Instance not found"),
        (("launch", "nothing", "x"), "Image not found"),
        (("launch", "busybox", "c-h1"), 'Instance "c-h1" already exists'),
        (("launch", "busybox", "x", "--target", "h9"), "Cluster member not found"),
        (("launch", "busybox", "x", "--config", "no.such.key=1"), "no.such.key"),
    ):
        done = await lxc.run(*words)
        assert (done.code, text in done.err) == (1, True), (words, done.err)
