"""Carrying out a parsed command line: console, serve, actions, planner."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from lxdpm_tui import splash
from lxdpm_tui.config import ConfigError, HostConfig, Paths, load_hosts, local_sockets

if TYPE_CHECKING:
    from lxdpm_tui.gateway.server import Gateway
    from lxdpm_tui.manager import Manager


DEFAULT_PORT = 8443
ROWS_FIRST = 1.5  # seconds that a console's socket waits for the first host to be read: loading it takes as long


class Failure(Exception):
    """A command that did not work. code: the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Held(Failure):
    """Another manager has the state directory."""


def say(text: str) -> None:
    splash.end()
    print(text, file=sys.stderr, flush=True)


def tell(text: str) -> None:
    print(text, flush=True)


def run(arguments: argparse.Namespace) -> int:
    """The exit code of the command."""
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    level = levels[min(arguments.verbose + (arguments.serve and not arguments.command), 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        return _dispatch(arguments)
    except (ConfigError, Failure) as error:
        say(str(error))
        return error.code if isinstance(error, Failure) else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _dispatch(arguments: argparse.Namespace) -> int:
    command = arguments.command
    if command and (arguments.listen or arguments.socket or arguments.ui):
        raise Failure("--listen, --socket and --ui go with --serve or the console", 2)
    if arguments.demo_instances and arguments.demo is None:
        raise Failure("--demo-instances goes with --demo", 2)
    if arguments.connect and (arguments.serve or arguments.listen or arguments.socket or arguments.demo is not None):
        raise Failure(
            "--connect works on a server that is there: --serve, --listen, --socket, --demo do not go with it", 2
        )
    if arguments.connect_token and not arguments.connect:
        raise Failure("--token goes with --connect", 2)
    if command and (arguments.serve or arguments.web is not None):
        raise Failure(f"{'--serve' if arguments.serve else '--web'} takes no command", 2)
    if arguments.web is not None and arguments.connect:
        raise Failure("--web opens a manager of its own: --connect does not go with it", 2)
    if arguments.look_only and (arguments.serve or command):
        raise Failure("--read-only is for the console; read_only = true in hosts.toml holds for everybody", 2)
    if command == "host":
        from lxdpm_tui.cli import hosts

        return hosts.run(arguments)
    if command == "trust":
        from lxdpm_tui.cli import trust

        return asyncio.run(trust.run(arguments))
    if command == "planner":
        from lxdpm_tui.cli import actions

        return asyncio.run(actions.planner(arguments))
    if command in ("shell", "console") or (command == "exec" and not arguments.json and len(arguments.instances) == 1):
        from lxdpm_tui.cli import inside

        return asyncio.run(inside.run(arguments))
    if command == "exec" and arguments.words:
        arguments.run = shlex.join(arguments.words)
    if command:
        from lxdpm_tui.cli import actions

        return asyncio.run(actions.action(arguments))
    if arguments.web_writable and arguments.web is None:
        raise Failure("--web-writable goes with --web", 2)
    if arguments.serve or arguments.web is not None:
        return asyncio.run(_serve(arguments))
    return _console(arguments)


# -- where the hosts come from


def paths_of(arguments: argparse.Namespace) -> Paths:
    return Paths.default(arguments.hosts_file, arguments.state_dir)


def listed_hosts(arguments: argparse.Namespace) -> tuple[list[HostConfig], str]:
    """The hosts of the file, else the sockets of this machine, and where they come from. [] when there is neither.

    Raises ConfigError; Failure when a file was named that is not there.
    """
    paths = paths_of(arguments)
    if paths.hosts_file.exists():
        return load_hosts(paths.hosts_file), str(paths.hosts_file)
    if arguments.hosts_file is not None:
        raise Failure(f"{paths.hosts_file}: there is no such file", 2)
    return local_sockets(), "sockets on this machine"


@contextlib.asynccontextmanager
async def open_manager(arguments: argparse.Namespace, empty: bool = False) -> AsyncIterator[Manager]:
    """The manager that the command line asks for. empty: a fleet without hosts is as good as any.

    Raises Failure when another manager has the state directory, or there are no hosts.
    """
    from lxdpm_tui.manager import AlreadyRunning, Manager
    from lxdpm_tui.store import StoreError

    async with contextlib.AsyncExitStack() as stack:
        hosts: list[HostConfig] = []
        paths = paths_of(arguments)
        count = arguments.demo
        if count is None:
            hosts, _ = listed_hosts(arguments)
        if count is not None:
            from lxdpm_tui.demo.processes import DemoProcesses

            each = (arguments.demo_instances,) * 2 if arguments.demo_instances else (6, 30)
            hosts = (await stack.enter_async_context(DemoProcesses(count, instances_per_host=each))).hosts
            if arguments.state_dir is None:
                state = stack.enter_context(tempfile.TemporaryDirectory(prefix="lxdpm-demo-"))
                paths = Paths(paths.hosts_file, Path(state))
        if not hosts and not empty:
            raise Failure(
                f"there are no hosts: {paths.hosts_file} is not there or empty, and no LXD or Incus socket was found on"
                " this machine. Add one with `lxdpm-tui host add NAME ADDRESS`, or try `lxdpm-tui --demo`"
            )
        try:
            manager = await stack.enter_async_context(Manager.open(paths, hosts))
        except AlreadyRunning as error:
            raise Held(str(error)) from error
        except StoreError as error:
            raise Failure(str(error)) from error
        if count is None:
            manager.hosts_file.follow(paths.hosts_file)
        yield manager


# -- console and gateway


@contextlib.asynccontextmanager
async def serving(arguments: argparse.Namespace, manager: Manager) -> AsyncIterator[Gateway]:
    """The gateway on what the command line asks for. Raises Failure when it cannot listen there."""
    from lxdpm_tui.gateway.server import Gateway
    from lxdpm_tui.manager import note_socket

    listen = _listen_address(arguments.listen) if arguments.listen is not None else None
    socket = (arguments.socket or manager.paths.socket).absolute()
    if arguments.ui is not None and not (arguments.ui / "index.html").is_file():
        raise Failure(f"--ui: there is no {arguments.ui / 'index.html'}", 2)
    async with contextlib.AsyncExitStack() as stack:
        try:
            gateway = await stack.enter_async_context(Gateway.serve(manager, socket, listen, arguments.ui))
        except OSError as error:
            where = f"{socket} or {arguments.listen}" if listen else str(socket)
            raise Failure(f"cannot listen on {where}: {error.strerror or error}") from error
        note_socket(manager.paths, socket)
        try:
            yield gateway
        finally:
            note_socket(manager.paths, None)


@contextlib.asynccontextmanager
async def _both_doors(arguments: argparse.Namespace, server: HostConfig | None) -> AsyncIterator[Manager]:
    """The console's manager. It serves as well, so that a second console on the state directory attaches to it.

    server: attach to this one instead.
    """
    from lxdpm_tui.cli import attach

    async with contextlib.AsyncExitStack() as stack:
        try:
            if server is None:
                manager = await stack.enter_async_context(open_manager(arguments, empty=True))
        except Held as held:
            if arguments.listen is not None or arguments.socket is not None or arguments.demo is not None:
                raise
            server = await attach.running_here(paths_of(arguments), str(held))
        if server is not None:
            manager = await stack.enter_async_context(attach.attached(arguments, server))
        elif arguments.listen is not None or arguments.socket is not None:
            await stack.enter_async_context(serving(arguments, manager))
        elif manager.paths.state_dir == paths_of(arguments).state_dir:  # not a demo's own
            await stack.enter_async_context(_serving_behind(arguments, manager))
        yield manager


@contextlib.asynccontextmanager
async def _serving_behind(arguments: argparse.Namespace, manager: Manager) -> AsyncIterator[None]:
    """Serve on the state directory's socket as soon as that holds up nobody; a console works without it too."""
    from lxdpm_tui.console import later

    leave = asyncio.Event()
    listening = False

    async def serve() -> None:
        nonlocal listening
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROWS_FIRST):
                while not any(host.scanned for host in manager.inventory.hosts.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        await later.load(["lxdpm_tui.gateway.server"])
        try:
            async with serving(arguments, manager):
                listening = True
                await leave.wait()
        except Failure as failure:
            logging.getLogger(__name__).info("no second console can attach: %s", failure)

    behind = asyncio.create_task(serve(), name="socket of the console's manager")
    try:
        yield
    finally:
        leave.set()
        if not listening:
            behind.cancel()
        await asyncio.wait({behind})


def _console(arguments: argparse.Namespace) -> int:
    label = ""
    server = None
    if arguments.connect:
        from lxdpm_tui.cli import attach

        server = attach.server_of(arguments)
    elif arguments.demo is not None:
        label = "DEMO"
    else:
        listed_hosts(arguments)  # mistakes in the file are told before the screen is taken
    streams = (sys.stdin, sys.stdout, sys.stderr)  # it is drawn on the last
    if not all(stream.isatty() for stream in streams) and "TEXTUAL_DRIVER" not in os.environ:  # which --web sets
        raise Failure("the console needs a terminal; --serve is headless, and each action is a subcommand", 2)
    gc.disable()  # what is loaded for the first paint is no garbage; the console switches it on again
    from lxdpm_tui.cli import look
    from lxdpm_tui.console import turns

    app = look.console(
        arguments,
        paths_of(arguments),
        label == "DEMO",
        open_manager=lambda: _both_doors(arguments, server),
        open_demo=None if arguments.demo is not None or server else lambda: open_manager(_demo_of(arguments)),
        label=label,
        before_open=("lxdpm_tui.manager",),
    )
    try:
        return turns.run(app.run_async()) or app.return_code or 0
    finally:
        gc.enable()


def _demo_of(arguments: argparse.Namespace) -> argparse.Namespace:
    """The same command line, but for a demo with a state directory of its own."""
    from lxdpm_tui.cli import DEMO_HOSTS

    return argparse.Namespace(**{**vars(arguments), "demo": DEMO_HOSTS, "state_dir": None})


async def _serve(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with open_manager(arguments) as manager, serving(arguments, manager) as gateway:
        socket = (arguments.socket or manager.paths.socket).absolute()
        ready = ["ready", f"unix:{socket}", *(f"https://{text}" for text in gateway.addresses)]
        async with contextlib.AsyncExitStack() as stack:
            if arguments.web is not None:
                from lxdpm_tui.cli import web

                ready.append(await stack.enter_async_context(web.serving_web(arguments, socket)))
            tell(" ".join(ready))
            await stop.wait()
    return 0


def _listen_address(text: str) -> tuple[str, int]:
    """ "ADDR:PORT", "ADDR" or ":PORT". Raises Failure."""
    host, colon, port = text.rpartition(":")
    if text.isdigit():
        host, port = "127.0.0.1", text
    elif not colon or (text.count(":") > 1 and not text.startswith("[")):
        host, port = text, str(DEFAULT_PORT)
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise Failure(f"--listen: expected ADDR:PORT, not {text!r}", 2)
    return host.strip("[]") or "0.0.0.0", int(port)
