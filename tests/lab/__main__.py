"""python -m tests.lab VERB: start, break, mend and end a lab of real LXD and Incus daemons, as root.

LXDPM_LAB=N (default 0) chooses which lab; several can be up side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

from tests.lab import packages
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.layout import LabError
from tests.lab.rest import RestError

HOST_VERBS: dict[str, tuple[Callable[[LabHost], object], str]] = {
    "start": (LabHost.start, "boot the host, or start just its dead daemon"),
    "stop": (LabHost.stop, "shut the daemon down cleanly (this stops its containers)"),
    "kill": (LabHost.kill, "SIGKILL the daemon; its containers live on (undo: start)"),
    "hang": (LabHost.hang, "SIGSTOP the daemon: it accepts connections and stays silent (undo: unhang)"),
    "unhang": (LabHost.unhang, "undo hang"),
    "freeze": (LabHost.freeze, "stop every process of the host (undo: thaw)"),
    "thaw": (LabHost.thaw, "undo freeze"),
    "cut": (LabHost.cut, "pull the host's network cable (undo: heal)"),
    "heal": (LabHost.heal, "undo cut"),
    "poweroff": (LabHost.poweroff, "kill the whole host, keep its disk (undo: start)"),
    "token": (lambda host: print(host.token()), "print a one-use join token"),
}


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.verb not in ("deps", "env") and (reason := packages.why_no_lab()):
            raise LabError(reason)
        return _do(options)
    except (LabError, RestError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except ExceptionGroup as group:
        for each in group.exceptions:
            print(f"lab: {each}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring the lab up; undoes every fault of a lab that is up")
    up.add_argument("--lxd", type=int, default=3, metavar="N", help="LXD hosts h1.. (default 3)")
    up.add_argument("--incus", type=int, default=1, metavar="N", help="Incus hosts i1.. (default 1)")
    up.add_argument("--password", default="", help="set LXD's trust password (the incus client cannot read such hosts)")
    verbs.add_parser("down", help="end the lab; nothing stays behind")
    status = verbs.add_parser("status", help="what runs")
    status.add_argument("--json", action="store_true")
    verbs.add_parser("env", help='environment for lxc and incus: eval "$(python -m tests.lab env)"')
    verbs.add_parser("deps", help="install the Debian packages that the lab needs")
    for verb, (_, text) in HOST_VERBS.items():
        verbs.add_parser(verb, help=text).add_argument("hosts", nargs="+", metavar="HOST")
    for verb, text in (("split", "drop all packets between two hosts (undo: join)"), ("join", "undo split")):
        verbs.add_parser(verb, help=text).add_argument("hosts", nargs=2, metavar="HOST")
    inside = verbs.add_parser("exec", help="run a program inside a host: exec HOST [--] PROGRAM ...")
    inside.add_argument("hosts", nargs=1, metavar="HOST")
    inside.add_argument("program", nargs=argparse.REMAINDER)
    return parser


def _do(options: argparse.Namespace) -> int:
    if options.verb == "deps":
        print("\n".join(packages.install()))
        return 0
    lab = Lab()
    began = time.monotonic()
    match options.verb:
        case "up":
            lab.up(options.lxd, options.incus, password=options.password)
            print(f"lab {lab.layout.number} is up in {time.monotonic() - began:.1f} s: {lab.versions()}")
            print(f"the console on it:\n  {_console()} --hosts {lab.hosts_file} --state {lab.state_dir}")
        case "down":
            lab.down()
            print(f"lab {lab.layout.number} is down in {time.monotonic() - began:.1f} s, nothing is left")
        case "status":
            _print_status(lab, as_json=options.json)
        case "env":
            print("\n".join(f"export {key}={value}" for key, value in lab.env().items()))
        case "exec":
            _replace_by(_hosts(lab, options.hosts)[0], options.program)
        case "split" | "join":
            one, other = _hosts(lab, options.hosts)
            (one.split if options.verb == "split" else one.join)(other)
        case verb:
            for host in _hosts(lab, options.hosts):
                HOST_VERBS[verb][0](host)
    return 0


def _console() -> str:
    """How the console is started from here."""
    installed = os.path.join(os.path.dirname(sys.executable), "lxdpm-tui")
    return os.path.relpath(installed) if os.path.exists(installed) else "lxdpm-tui"


def _hosts(lab: Lab, names: list[str]) -> list[LabHost]:
    if unknown := [name for name in names if name not in lab.hosts]:
        there = " ".join(lab.hosts) or "none, the lab is down"
        raise LabError(f"no host {' '.join(unknown)} in lab {lab.layout.number} (there: {there})")
    return [lab.hosts[name] for name in names]


def _print_status(lab: Lab, *, as_json: bool) -> None:
    seen = lab.each(LabHost.status)
    if as_json:
        print(json.dumps(seen, indent=1))
        return
    if not seen:
        print(f"lab {lab.layout.number} is down")
        return
    columns = ("name", "kind", "address", "version", "power", "daemon", "link", "instances", "rss_mb", "pid", "pools")
    rows = [list(columns)] + [[_text(row[column]) for column in columns] for row in seen]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)


def _replace_by(host: LabHost, program: list[str]) -> None:
    """Become `program` inside the host (default: a shell)."""
    program = program[1:] if program[:1] == ["--"] else program
    command = host.inside(*(program or ["/bin/bash"]))
    os.chdir("/")
    os.execvpe(command[0], command, host.environment())


if __name__ == "__main__":
    sys.exit(main())
