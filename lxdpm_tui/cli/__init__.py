"""The command line. Parsing imports nothing heavy; each command loads what it needs.

stdout carries the answer and nothing else; progress and errors go to stderr. Exit codes: 0 done, 1 it failed,
2 the command line or a file is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lxdpm_tui import __version__, splash

DEMO_HOSTS = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own); gives the exit code."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given == ["--version"]:  # scripts ask for it: no need to load the actions that --help lists
        print(f"lxdpm-tui {__version__}")  # noqa: T201
        return 0
    given, words = _split(given)
    try:
        arguments = _parse(given)
        arguments.words = words
        from lxdpm_tui.cli import run

        return run.run(arguments)
    finally:
        splash.end()


def _parse(given: list[str]) -> argparse.Namespace:
    """The console and --serve need no subcommand: what those are is only loaded (0.2 s) when there is one."""
    if {"-h", "--help"}.isdisjoint(given):
        arguments, rest = _base_parser().parse_known_args(given)
        if not rest:
            arguments.command = None
            return arguments
    return build_parser().parse_args(given)


def build_parser() -> argparse.ArgumentParser:
    """Of everything, the subcommands included."""
    parser = _base_parser()
    _add_commands(parser)
    return parser


def _base_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lxdpm-tui",
        description="One console and one API for a fleet of independent LXD and Incus hosts."
        " Without a subcommand: the console.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lxdpm-tui {__version__}")
    parser.add_argument("--hosts", dest="hosts_file", type=Path, metavar="FILE", help="the list of hosts (hosts.toml)")
    parser.add_argument(
        "--state", dest="state_dir", type=Path, metavar="DIR", help="where the manager keeps what must outlive it"
    )
    parser.add_argument(
        "--demo", type=_count, nargs="?", const=DEMO_HOSTS, metavar="N", help="a simulated fleet of N hosts"
    )
    parser.add_argument("--demo-instances", type=_count, metavar="N", help="and that many instances on each of them")
    parser.add_argument(
        "--connect",
        metavar="ADDRESS",
        help="work on the gateway, cluster or daemon there: unix:///path, https://host[:port] or ssh://...",
    )
    parser.add_argument(
        "--token", dest="connect_token", metavar="T", help="with --connect: a trust token; - reads it from stdin"
    )
    parser.add_argument("--serve", action="store_true", help="headless: serve the LXD API instead of the console")
    parser.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        nargs="?",
        const="127.0.0.1:8443",
        help="serve HTTPS here too (127.0.0.1:8443 when nothing follows)",
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="the unix socket to serve on (default: in --state)")
    parser.add_argument("--verbose", "-v", action="count", default=0, help="log more, to stderr")
    parser.add_argument("--ui", type=Path, metavar="DIR", help="serve a web front end's files at /ui/")
    from lxdpm_tui.cli import look

    look.add_options(parser)
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _host(commands)
    _trust(commands)
    _inside(commands)
    planner = commands.add_parser("planner", help="show or choose the strategy that places instances")
    planner.add_argument("strategy", nargs="?", choices=("random", "scatter", "gather"))
    _add_json(planner)
    from lxdpm_tui.cli.commands import add_actions

    add_actions(commands)


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number of hosts from 1 to 1000, not {text!r}")
    return int(text)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """The line of `shell` or `exec`, and the command to run, which follows `--` and has options of its own."""
    at = given.index("--") if "--" in given else len(given)
    if {"shell", "exec"}.isdisjoint(given[:at]):
        return given, []
    return given[:at], given[at + 1 :]


def _inside(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, help, usage in (
        ("shell", "A shell in an instance, or a command on a terminal; ~. leaves it", "[HOST:]NAME [-- COMMAND...]"),
        ("console", "The text console of an instance; ~. leaves it", "[HOST:]NAME"),
    ):
        parser = commands.add_parser(
            name, help=help, description=help, usage=f"lxdpm-tui {name} [--project PROJECT] {usage}", allow_abbrev=False
        )
        parser.add_argument("instances", nargs=1, metavar="NAME", help="NAME, or HOST:NAME for one of twins")
        parser.add_argument("--project", default="default", help="the project")


def _host(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    host = commands.add_parser("host", help="the hosts of the fleet: add, list, remove, check, import")
    verbs = host.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="add a host to hosts.toml, and pair with it")
    add.add_argument("name")
    add.add_argument("address", help="unix:///path, https://host[:port] or ssh://[user@]host[:port][/path]")
    secret = add.add_mutually_exclusive_group()
    secret.add_argument("--token", metavar="T", help="a trust token of the host; - reads it from standard input")
    secret.add_argument("--password", metavar="P", help="its trust password; - reads it from standard input")
    add.add_argument("--label", action="append", default=[], metavar="KEY[=VALUE]", help="may be repeated")
    add.add_argument("--identity-file", metavar="FILE", help="ssh: the private key")
    add.add_argument("--known-hosts", metavar="FILE", help="ssh: the file with its host key")
    add.add_argument("--yes", action="store_true", help="accept the certificate it shows without asking")
    _add_json(add)
    _add_json(verbs.add_parser("list", help="the hosts of hosts.toml"))
    remove = verbs.add_parser("remove", help="take a host out of hosts.toml; nothing changes on the host")
    remove.add_argument("name")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    check = verbs.add_parser("check", help="reach every host (or those named) and say how they are")
    check.add_argument("name", nargs="*")
    _add_json(check)
    bring = verbs.add_parser("import", help="take over the remotes of an lxc or incus client")
    bring.add_argument("directory", nargs="?", type=Path, help="its configuration (default: the usual places)")
    bring.add_argument("--yes", action="store_true", help="do not ask")
    _add_json(bring)


def _trust(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    trust = commands.add_parser("trust", help="who may use the gateway over HTTPS: add, list, remove")
    verbs = trust.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="print a token that enrols one client: lxc remote add fleet TOKEN")
    add.add_argument("name")
    add.add_argument("--project", action="append", default=[], help="restrict it to this project, may be repeated")
    add.add_argument("--read-only", action="store_true", help="let it see and change nothing")
    _add_json(add)
    _add_json(verbs.add_parser("list", help="the certificates that are trusted"))
    verbs.add_parser("remove", help="trust a certificate no longer").add_argument("fingerprint")


if __name__ == "__main__":
    sys.exit(main())
