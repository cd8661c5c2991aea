"""Commands, terminals and files: the same bytes, exit codes and headers on simulated and real daemons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import WSMsgType

from tests.demo.daemon import PATIENCE, Daemon

EXEC = "/1.0/instances/c1/exec"
# Before the words of a command: it stays a moment after it spoke. LXD 5.0 may lose what is said right before the end.
STAYS = ["sh", "-c", '"$@"; code=$?; sleep 0.2; exit $code', "sh"]


@pytest.fixture
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """A daemon with a running instance c1."""
    await daemon.make("c1", start=True)
    yield daemon
    await daemon.stop("c1")


async def run(
    daemon: Daemon,
    command: list[str],
    stdin: bytes = b"",
    *,
    control: dict[str, Any] | None = None,
    **more: Any,
) -> tuple[bytes, bytes, Any]:
    """(stdout, stderr, exit code) over websockets; for a terminal, all it showed is stdout. Input ends after stdin."""
    answer = await daemon.call("POST", EXEC, {"command": command, "wait-for-websocket": True} | more)
    assert answer.status == 202, answer.body
    assert (answer.metadata["class"], answer.metadata["description"]) == ("websocket", "Executing command")
    fds = answer.metadata["metadata"]["fds"]
    terminal = set(fds) == {"0", "control"}
    assert terminal or set(fds) == {"0", "1", "2", "control"}
    heard = {"0": b"", "1": b"", "2": b""}
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        sockets = {}
        for name in ("control", *sorted(set(fds) - {"control"})):  # the last one starts the command
            sockets[name] = await stack.enter_async_context(daemon.socket_of(answer.json["operation"], fds[name]))
        if stdin:
            await sockets["0"].send_bytes(stdin)
        if not terminal:
            await sockets["0"].send_str("")
        if control:
            await sockets["control"].send_json(control)

        async def listen(name: str) -> None:
            async for message in sockets[name]:
                if message.type == WSMsgType.BINARY:
                    heard[name] += message.data
                elif message.type == WSMsgType.TEXT:
                    assert message.data == ""  # the end of that stream
                    return

        await asyncio.gather(*(listen(name) for name in (["0"] if terminal else ["1", "2"])))
        if terminal:
            await sockets["0"].close()  # the daemon waits for that
        waited = await daemon.call("GET", f"{answer.json['operation']}/wait")
    code = waited.json["error"] if waited.json["type"] == "error" else None
    if code is None:
        code = waited.metadata["err"] or waited.metadata["metadata"]["return"]
    return (heard["0"] if terminal else heard["1"]), heard["2"], code


@pytest.mark.parametrize(
    ("command", "stdin", "expected"),
    [
        (["echo", "hi", "there"], b"", (b"hi there\n", b"", 0)),
        (["uname", "-n"], b"", (b"c1\n", b"", 0)),
        (["hostname"], b"", (b"c1\n", b"", 0)),
        (["cat"], b"hello\nworld", (b"hello\nworld", b"", 0)),
        (["cat", "/nope"], b"", (b"", b"cat: can't open '/nope': No such file or directory\n", 1)),
        (["ls", "/nope"], b"", (b"", b"ls: /nope: No such file or directory\n", 1)),
        (["sh"], b"echo a\nexit 4\n", (b"a\n", b"", 4)),
        (["sh", "-c", "echo out; echo err >&2; exit 3"], b"", (b"out\n", b"err\n", 3)),
        (["sh", "-c", "false || echo 'a;b' && echo $?"], b"", (b"a;b\n0\n", b"", 0)),
        (["sh", "-c", "nosuch"], b"", (b"", b"sh: nosuch: not found\n", "Command not found")),
        (["sh", "-c", "echo one >/tmp/f; echo two >>/tmp/f; cat /tmp/f"], b"", (b"one\ntwo\n", b"", 0)),
        (["true"], b"", (b"", b"", 0)),
        (["false"], b"", (b"", b"", 1)),
        (["nosuch"], b"", (b"", b"", "Command not found")),
    ],
)
async def test_commands(running: Daemon, command: list[str], stdin: bytes, expected: tuple[bytes, bytes, Any]) -> None:
    stays = STAYS if running.real and any(expected[:2]) else []
    assert await run(running, [*stays, *command], stdin) == expected


async def test_environment_directory_and_user(running: Daemon) -> None:
    script = ["sh", "-c", "echo $FOO; pwd; id -u; sleep 0.2"]
    ran = await run(running, script, environment={"FOO": "bar"}, cwd="/etc", user=0)
    assert ran == (b"bar\n/etc\n0\n", b"", 0)


async def test_terminal(running: Daemon) -> None:
    """LXD 5.0 may lose what a command says on a terminal right before its end: hence the pauses."""
    terminal: dict[str, Any] = {"interactive": True, "width": 100, "height": 30}
    assert await run(running, ["sh", "-c", "echo a; sleep 2; exit 5"], **terminal) == (b"a\r\n", b"", 5)
    assert await run(running, ["sh", "-c", "stty size; sleep 2"], **terminal) == (b"30 100\r\n", b"", 0)
    output, _, code = await run(running, ["sh"], b"echo a\nsleep 2\nexit 4\n", **terminal)
    assert code == 4
    assert b"echo a\r\n" in output  # typed input is echoed
    assert b"a\r\n" in output.replace(b"echo a\r\n", b"")


@pytest.mark.parametrize(("signal", "code"), [(15, 143), (9, 137)])
async def test_signals(running: Daemon, signal: int, code: int) -> None:
    ran = await run(running, ["sleep", "60"], control={"command": "signal", "signal": signal})
    assert ran == (b"", b"", code)


async def test_without_sockets(running: Daemon) -> None:
    answer = await running.call("POST", EXEC, {"command": ["sh", "-c", "echo rec; exit 2"], "record-output": True})
    assert answer.metadata["class"] == "task"
    assert await running.end(answer) == ("Success", "")
    metadata = (await running.get(answer.json["operation"]))["metadata"]
    assert metadata["return"] == 2
    directory = running.of("logs", "logs/exec-output")
    assert metadata["output"]["1"].startswith(f"/1.0/instances/c1/{directory}/exec_")
    assert (await running.call("GET", metadata["output"]["1"])).body == b"rec\n"


async def test_socket_secrets(running: Daemon) -> None:
    answer = await running.call("POST", EXEC, {"command": ["sh"], "wait-for-websocket": True})
    operation = answer.json["operation"]
    wrong = await running.call("GET", f"{operation}/websocket?secret=wrong")
    assert wrong.error == running.of((500, "permission denied"), (403, "Forbidden"))
    assert (await running.call("GET", f"{operation}/websocket")).error == (500, "missing secret")
    assert (await running.call("DELETE", operation)).error == (400, "This operation can't be cancelled")
    # Nobody connects: it fails after five seconds.
    assert await running.end(answer) == ("Failure", "Timed out waiting for websockets to connect")


async def test_files(daemon: Daemon) -> None:
    await daemon.make("c1")
    path = "/1.0/instances/c1/files?path="
    prefix = daemon.header
    given = {f"{prefix}uid": "7", f"{prefix}gid": "8", f"{prefix}mode": "0640", f"{prefix}type": "file"}
    pushed = await daemon.call("POST", f"{path}/tmp/f1", data=b"content", headers=given)
    assert (pushed.status, pushed.metadata) == (200, {})
    answer = await daemon.call("GET", f"{path}/tmp/f1")
    ours = {name.lower().removeprefix(prefix.lower()): value for name, value in answer.headers.items()}
    assert {key: ours[key] for key in ("uid", "gid", "mode", "type")} == {
        "uid": "7",
        "gid": "8",
        "mode": "0640",
        "type": "file",
    }
    assert ours["modified"].endswith(" +0000 UTC")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "inline;filename=f1"
    assert answer.body == b"content"
    part = await daemon.call("GET", f"{path}/tmp/f1", headers={"Range": "bytes=2-4"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"nte", "bytes 2-4/7")
    await daemon.call("POST", f"{path}/tmp/f1", data=b"MORE", headers={f"{prefix}write": "append"})
    assert (await daemon.call("GET", f"{path}/tmp/f1")).body == b"contentMORE"


async def test_directories_and_links(daemon: Daemon) -> None:
    await daemon.make("c1")
    path = "/1.0/instances/c1/files?path="
    prefix = daemon.header
    directory = {f"{prefix}type": "directory", f"{prefix}mode": "0711"}
    await daemon.call("POST", f"{path}/tmp/d1", headers=directory)
    await daemon.call("POST", f"{path}/tmp/d1/link", data=b"../f1", headers={f"{prefix}type": "symlink"})
    listed = await daemon.call("GET", f"{path}/tmp/d1")
    kinds = {name.lower(): value for name, value in listed.headers.items()}
    assert (kinds[f"{prefix.lower()}type"], kinds[f"{prefix.lower()}mode"]) == ("directory", "0711")
    assert listed.metadata == ["link"]
    link = await daemon.call("GET", f"{path}/tmp/d1/link")
    assert (link.body, {k.lower(): v for k, v in link.headers.items()}[f"{prefix.lower()}type"]) == (
        b"/tmp/f1",
        "symlink",
    )
    full = (500, 'sftp: "remove /tmp/d1: directory not empty" (SSH_FX_FAILURE)')
    assert (await daemon.call("DELETE", f"{path}/tmp/d1")).error == full
    over = (500, 'sftp: "open /tmp/d1: is a directory" (SSH_FX_FAILURE)')
    assert (await daemon.call("POST", f"{path}/tmp/d1", data=b"1")).error == over
    for name in ("link", ""):
        assert (await daemon.call("DELETE", f"{path}/tmp/d1/{name}".rstrip("/"))).status == 200


async def test_files_refused(daemon: Daemon) -> None:
    await daemon.make("c1")
    path = "/1.0/instances/c1/files"
    prefix = daemon.header
    assert (await daemon.call("GET", path)).error == (400, "Missing path argument")
    for method in ("GET", "DELETE"):
        assert (await daemon.call(method, f"{path}?path=/tmp/nope")).error == (404, "Not Found")
    assert (await daemon.call("POST", f"{path}?path=/nodir/x/y", data=b"1")).error == (404, "Not Found")
    bad_type = await daemon.call("POST", f"{path}?path=/tmp/b", data=b"1", headers={f"{prefix}type": "bogus"})
    assert bad_type.error == (400, "Bad file type: bogus")
    bad_write = await daemon.call("POST", f"{path}?path=/tmp/b", data=b"1", headers={f"{prefix}write": "bogus"})
    assert bad_write.error == (400, "Bad file write mode: bogus")
