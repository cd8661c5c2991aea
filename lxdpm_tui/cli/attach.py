"""A console or a command on a server that another process manages: --connect, or the manager that runs here already."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lxdpm_tui.cli.run import Failure, paths_of
from lxdpm_tui.config import (
    ConfigError,
    HostConfig,
    HttpsAddress,
    Paths,
    UnixAddress,
    add_host,
    load_hosts,
    parse_address,
)

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

STARTING = 10.0  # seconds that a manager which has just taken the state directory has to listen on its socket


def server_of(arguments: argparse.Namespace) -> HostConfig:
    """The server that --connect names. An https one is paired with as `host add` does, once: its certificate is kept.

    Asks on the terminal. Raises Failure, ConfigError.
    """
    try:
        address = parse_address(arguments.connect)
    except ValueError as error:
        raise Failure(f"--connect: {error}", 2) from error
    if arguments.connect_token and not isinstance(address, HttpsAddress):
        raise Failure("--token is for https addresses; sockets and ssh need none", 2)
    paths = paths_of(arguments)
    name = "local" if isinstance(address, UnixAddress) else re.sub(r"[^A-Za-z0-9.]+", "-", address.host).strip("-.")
    config = HostConfig(name or "server", address)
    known = _known(paths.hosts_file, config) or _known(_servers(paths), config)
    if known is not None and not (arguments.connect_token and known.fingerprint is None):
        return replace(known, name=config.name, labels={})
    if not isinstance(address, HttpsAddress):
        return config
    return _paired(arguments, config)


def _servers(paths: Paths) -> Path:
    """Where the certificates of servers are kept that are in no list of hosts."""
    return paths.state_dir / "servers.toml"


def _known(file: Path, config: HostConfig) -> HostConfig | None:
    hosts = load_hosts(file) if file.exists() else []
    return next((host for host in hosts if str(host.address) == str(config.address)), None)


def _paired(arguments: argparse.Namespace, config: HostConfig) -> HostConfig:
    from lxdpm_tui.cli import hosts
    from lxdpm_tui.hosts.transport import ApiError, HostError

    identity = hosts.identity_of(arguments)
    token = hosts.secret(arguments.connect_token)
    try:
        paired = asyncio.run(hosts.make_trusted(config, identity, token, None, False))
    except (HostError, ApiError, ValueError) as error:
        reason = error.reason if isinstance(error, HostError) else str(error)
        raise Failure(f"{config.address}: {reason}") from error
    assert isinstance(config.address, HttpsAddress)
    kept = replace(paired, name=f"{config.name}-{config.address.port}")
    with contextlib.suppress(ConfigError):  # a file that cannot be written: asked again the next time
        add_host(_servers(paths_of(arguments)), kept)
    return paired


@contextlib.asynccontextmanager
async def attached(arguments: argparse.Namespace, server: HostConfig) -> AsyncIterator[Manager]:
    """A manager of ours for that server. Raises Failure."""
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.store import StoreError

    async with contextlib.AsyncExitStack() as stack:
        try:
            manager = await stack.enter_async_context(Manager.attach(paths_of(arguments), server))
        except StoreError as error:
            raise Failure(str(error)) from error
        yield manager


async def running_here(paths: Paths, otherwise: str) -> HostConfig:
    """The manager that holds the state directory, by its socket. Raises Failure(otherwise) when it does not serve."""
    from lxdpm_tui.manager import noted_socket

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STARTING):
            while (socket := noted_socket(paths)) is None:  # noqa: ASYNC110  (nothing tells of a file)
                await asyncio.sleep(0.1)
            return HostConfig("local", UnixAddress(str(socket)))
    raise Failure(otherwise)
