"""`shell`, `console` and `exec` of one instance from the command line, straight to its host.

No manager is needed: these work beside a console or a server that has the state directory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping

from lxdpm_tui.cli.run import Failure, listed_hosts, open_manager, paths_of, say
from lxdpm_tui.console.inside.relay import Ending, banner, environment, relay
from lxdpm_tui.console.inside.tty import RawTerminal
from lxdpm_tui.hosts import exec
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError

LOST = 255  # exit code when the host was lost or the person left, as ssh has it
CHUNK = 1 << 16
_LOOK = Deadlines(connect=5.0, first_byte=10.0, idle=10.0)


@contextlib.asynccontextmanager
async def hosts_of(arguments: argparse.Namespace) -> AsyncIterator[Mapping[str, Host]]:
    """The hosts of the command line, by name, not connected yet. Raises Failure, ConfigError."""
    if arguments.demo is not None:
        async with open_manager(arguments) as manager:
            yield manager.fleet.hosts
        return
    if arguments.connect:
        from lxdpm_tui.cli.attach import server_of

        configs, where = [await asyncio.to_thread(server_of, arguments)], ""
    else:
        configs, where = listed_hosts(arguments)
    if not configs:
        raise Failure(f"there are no hosts ({where})")
    paths = paths_of(arguments)
    needs = any(config.address.scheme == "https" for config in configs)
    paths.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = await asyncio.to_thread(ensure_identity, paths.state_dir) if needs else None
    hosts = {config.name: Host(config, identity) for config in configs}
    try:
        yield hosts
    finally:
        await asyncio.gather(*(host.close() for host in hosts.values()))


async def find(hosts: Mapping[str, Host], ref: str, project: str) -> tuple[Host, str]:
    """The host and name of NAME or HOST:NAME. Raises Failure."""
    given, colon, name = ref.rpartition(":")
    member = ""
    if colon and given not in hosts:  # a cluster's member: ENTRY/MEMBER, or MEMBER when there is one entry
        entry, slash, member = given.partition("/")
        if not slash and len(hosts) == 1:
            [entry], member = hosts, given
        if entry not in hosts or not member:
            raise Failure(f"there is no host {given}", 2)
        given = entry
    asked = [hosts[given]] if colon else list(hosts.values())

    async def ask(host: Host) -> bool | HostError:
        try:
            path = exec.instance_path(name)
            reply = await host.request("GET", path, params={"project": project}, deadlines=_LOOK)
        except ApiError as error:
            if error.code == 404:
                return False
            raise Failure(str(error)) from error
        except HostError as error:
            return error
        return not member or reply.metadata.get("location") == member

    answers = dict(zip(asked, await asyncio.gather(*map(ask, asked)), strict=True))
    holders = [host for host, answer in answers.items() if answer is True]
    if len(holders) == 1:
        return holders[0], name
    if holders:
        where = " and ".join(sorted(f"{host.name}:{name}" for host in holders))
        raise Failure(f"{name} is on more than one host. Say which: {where}")
    silent = [str(answer) for answer in answers.values() if isinstance(answer, HostError)]
    also = f"; could not ask {'; '.join(silent)}" if silent else ""
    raise Failure(f"there is no instance {name} in project {project}{also}")


async def run(arguments: argparse.Namespace) -> int:
    """shell, console or exec of one instance; the exit code of the command, LOST when it is not known."""
    command, words = arguments.command, list(arguments.words)
    if command == "exec" and not words:
        raise Failure("exec: what is to be run? lxdpm-tui exec NAME -- COMMAND...", 2)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if command == "console" and not terminal:
        raise Failure("console needs a terminal", 2)
    try:
        async with hosts_of(arguments) as hosts:
            host, name = await find(hosts, arguments.instances[0], arguments.project)
            if terminal:
                return await _on_terminal(host, name, arguments, words)
            return await _on_pipes(host, name, arguments.project, words or list(exec.SHELL))
    except (ApiError, HostError) as error:
        raise Failure(str(error), LOST) from error


async def _on_terminal(host: Host, name: str, arguments: argparse.Namespace, words: list[str]) -> int:
    size = os.get_terminal_size()
    project = arguments.project
    if arguments.command == "console":
        opening = exec.attach_console(host, name, project=project, size=(size.columns, size.lines))
    else:
        opening = exec.execute(
            host, name, words or exec.SHELL, project=project, size=(size.columns, size.lines), environment=environment()
        )
    async with opening as session:
        with RawTerminal() as raw:
            if not words:
                await raw.write(banner(arguments.command.capitalize(), name, host.name, project))
            ending = await relay(session, raw)
    return _told(ending, arguments.command)


def _told(ending: Ending, command: str) -> int:
    if ending.error:
        say(f"\n{ending.error}")
    elif ending.left:
        say("")
        return 0 if command == "console" else LOST
    return LOST if ending.code is None else ending.code


async def _on_pipes(host: Host, name: str, project: str, words: list[str]) -> int:
    """Standard input, output and error as they are, each streamed at the pace of who takes it."""
    async with exec.execute(host, name, words, project=project) as session:

        async def send() -> None:
            async for data in _standard_input():
                await session.send(data)
            await session.send_end()

        async def show(stream: str, descriptor: int) -> None:
            while data := await session.receive(stream):
                view = memoryview(data)
                while view:
                    view = view[await asyncio.to_thread(os.write, descriptor, view) :]

        sending = asyncio.create_task(send())
        sending.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(show("1", 1))
                group.create_task(show("2", 2))
        except* BrokenPipeError as broken:
            raise broken.exceptions[0] from None
        except* HostError as lost:
            raise lost.exceptions[0] from None
        finally:
            sending.cancel()
        return await session.ended(None)


async def _standard_input() -> AsyncIterator[bytes]:
    """What comes in, in chunks. A pipe is waited for without a thread, which could not be ended; a file never waits."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(0, ready.set)
        waits = True
    except OSError:
        waits = False  # a regular file, or none at all
    try:
        while True:
            if waits:
                await ready.wait()
                ready.clear()
                data = os.read(0, CHUNK)
            else:
                data = await asyncio.to_thread(os.read, 0, CHUNK)
            if not data:
                return
            if waits:
                loop.remove_reader(0)  # not while this is passed on
            yield data
            if waits:
                loop.add_reader(0, ready.set)
    finally:
        if waits:
            loop.remove_reader(0)
