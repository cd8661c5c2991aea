"""`lxdpm-tui host ...`: the list of hosts, pairing, and how they are."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxdpm_tui.cli.run import Failure, listed_hosts, paths_of, say, tell
from lxdpm_tui.config import (
    HostConfig,
    HttpsAddress,
    add_host,
    check_host,
    client_remotes,
    load_hosts,
    parse_address,
    remove_host,
)
from lxdpm_tui.hosts.identity import ClientIdentity, ensure_identity
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError, Untrusted

CHECK = Deadlines(connect=5.0, first_byte=5.0, idle=5.0)


def run(arguments: argparse.Namespace) -> int:
    """The exit code of a host command. Raises ConfigError, Failure."""
    verbs = {"add": _add, "list": _list, "remove": _remove, "check": _check, "import": _import}
    return verbs[arguments.verb](arguments)


def _known(path: Path) -> list[HostConfig]:
    return load_hosts(path) if path.exists() else []


def identity_of(arguments: argparse.Namespace) -> ClientIdentity:
    state_dir = paths_of(arguments).state_dir
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ensure_identity(state_dir)


# -- add


def _add(arguments: argparse.Namespace) -> int:
    path = paths_of(arguments).hosts_file
    try:
        address = parse_address(arguments.address)
    except ValueError as error:
        raise Failure(f"address: {error}", 2) from error
    if any(known.name == arguments.name for known in _known(path)):
        raise Failure(f"{path}: there is a host {arguments.name!r} already", 1)
    labels = {key: value for key, _, value in (text.partition("=") for text in arguments.label)}
    config = HostConfig(
        name=arguments.name,
        address=address,
        labels=labels,
        identity_file=_from_here(arguments.identity_file),
        known_hosts=_from_here(arguments.known_hosts),
    )
    check_host(path, config)  # before a token is used up
    token, password = secret(arguments.token), secret(arguments.password)
    if not isinstance(address, HttpsAddress) and (token or password):
        raise Failure("--token and --password are for https addresses; sockets and ssh need neither", 2)
    identity = identity_of(arguments)
    try:
        if isinstance(address, HttpsAddress):
            config = asyncio.run(make_trusted(config, identity, token, password, arguments.yes))
        found = asyncio.run(_ask(config, identity))
    except (HostError, ApiError, ValueError) as error:
        raise Failure(f"{arguments.name}: {_text(error)}; nothing was added") from error
    add_host(path, config)
    if arguments.json:
        tell(json.dumps({**_shown(config), **found}))
    else:
        tell(f"{config.name} added: {found['kind']} {found['version']} at {config.address}")
    return 0


def _from_here(file: str | None) -> str | None:
    """In hosts.toml a relative name counts from there; on the command line it is meant from here."""
    return file if file is None or file.startswith("~") else str(Path(file).absolute())


def secret(text: str | None) -> str | None:
    """ "-" reads it from standard input, so that it stands in no argument list."""
    return sys.stdin.readline().strip() if text == "-" else text


async def make_trusted(
    config: HostConfig, identity: ClientIdentity, token: str | None, password: str | None, yes: bool
) -> HostConfig:
    """Make the host trust us; its certificate is confirmed by the token, or by a person."""
    from lxdpm_tui.hosts.pairing import pair, probe_fingerprint

    assert isinstance(config.address, HttpsAddress)
    if token is None:
        shown = await probe_fingerprint(config.address)
        say(f"{config.name} shows the certificate {shown.fingerprint} ({shown.subject})")
        if not yes and not _agreed("Is it the right one?"):
            raise Failure("nothing was added")
        config = replace(config, fingerprint=shown.fingerprint)
    try:
        return await pair(config, identity, token=token, password=password)
    except Untrusted as error:
        raise Untrusted(
            f"{error.reason}. Get a token there by `lxc config trust add --name NAME` (LXD) or"
            f" `incus config trust add NAME` (Incus) and give it by --token, or have {identity.cert_path} trusted"
        ) from error


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        say("nobody can be asked here: give --yes")
        return False
    say(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _ask(config: HostConfig, identity: ClientIdentity) -> dict[str, Any]:
    """Reach a host once: {kind, version, server_name, round_trip (seconds)}. Raises HostError, ApiError."""
    from lxdpm_tui.hosts.host import Host

    host = Host(config, identity)
    try:
        await host.server(deadlines=CHECK)
        before = time.monotonic()
        server = await host.server(deadlines=CHECK)
        environment = server["environment"]
        return {
            "kind": host.dialect.kind,
            "version": environment["server_version"],
            "server_name": environment["server_name"],
            "round_trip": round(time.monotonic() - before, 4),
        }
    finally:
        await host.close()


# -- list, remove, check


def _shown(config: HostConfig) -> dict[str, Any]:
    return {
        "name": config.name,
        "address": str(config.address),
        "labels": dict(config.labels),
        "fingerprint": config.fingerprint,
    }


def _list(arguments: argparse.Namespace) -> int:
    hosts, where = listed_hosts(arguments)
    if arguments.json:
        tell(json.dumps([_shown(config) for config in hosts], indent=2))
        return 0
    say(f"from {where}")
    _table([(c.name, str(c.address), ",".join(f"{k}={v}" if v else k for k, v in c.labels.items())) for c in hosts])
    return 0


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        tell("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _remove(arguments: argparse.Namespace) -> int:
    path = paths_of(arguments).hosts_file
    if all(known.name != arguments.name for known in _known(path)):
        raise Failure(f"{path}: there is no host {arguments.name!r}", 1)
    if not arguments.yes and not _agreed(f"Take {arguments.name} out of {path}?"):
        raise Failure("nothing was removed")
    remove_host(path, arguments.name)
    say(f"{arguments.name} removed; what runs there goes on")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    hosts, _ = listed_hosts(arguments)
    unknown = set(arguments.name) - {config.name for config in hosts}
    if unknown:
        raise Failure(f"there is no host {', '.join(sorted(unknown))}", 2)
    chosen = [config for config in hosts if not arguments.name or config.name in arguments.name]
    if not chosen:
        raise Failure("there are no hosts")
    results = asyncio.run(_check_all(chosen, identity_of(arguments)))
    if arguments.json:
        tell(json.dumps(results, indent=2))
    else:
        _table(
            [
                (r["name"], "ok", f"{r['kind']} {r['version']}", f"{r['round_trip'] * 1000:.1f} ms")
                if "error" not in r
                else (r["name"], "FAILED", str(r["error"]), "")
                for r in results
            ]
        )
    return 1 if any("error" in r for r in results) else 0


async def _check_all(hosts: list[HostConfig], identity: ClientIdentity) -> list[dict[str, Any]]:
    async def one(config: HostConfig) -> dict[str, Any]:
        try:
            return {**_shown(config), **await _ask(config, identity)}
        except (HostError, ApiError) as error:
            return {**_shown(config), "error": _text(error)}

    return list(await asyncio.gather(*(one(config) for config in hosts)))


def _text(error: Exception) -> str:
    return error.reason if isinstance(error, HostError) else str(error)


# -- import


def _import(arguments: argparse.Namespace) -> int:
    """Take over every remote that is a daemon; ours is made trusted with the client's own certificate."""
    path = paths_of(arguments).hosts_file
    found = client_remotes(arguments.directory)
    for name, reason in found.skipped.items():
        say(f"{name}: left out: {reason}")
    known = {config.name for config in _known(path)}
    wanted = [config for config in found.hosts if config.name not in known]
    for config in found.hosts:
        if config.name in known:
            say(f"{config.name}: in {path} already")
    if not wanted:
        say("nothing to import")
        return 0
    for config in wanted:
        say(f"{config.name}: {config.address}")
    if not arguments.yes and not _agreed(f"Add {len(wanted)} to {path}?"):
        raise Failure("nothing was added")
    identity = identity_of(arguments)
    failed, added = 0, []
    for config in wanted:
        try:
            paired = asyncio.run(_adopt(config, identity, found.directories[config.name]))
        except (HostError, ApiError, ValueError, FileNotFoundError) as error:
            failed += 1
            say(f"{config.name}: {_text(error)}; not added")
            continue
        add_host(path, paired)
        added.append(paired)
    if arguments.json:
        tell(json.dumps([_shown(config) for config in added], indent=2))
    else:
        say(f"{len(added)} added to {path}")
    return 1 if failed else 0


async def _adopt(config: HostConfig, identity: ClientIdentity, directory: Path) -> HostConfig:
    from lxdpm_tui.hosts.pairing import client_identity_of, pair_with_identity

    if not isinstance(config.address, HttpsAddress):
        return config
    return await pair_with_identity(config, identity, client_identity_of(directory))
