"""The arrows between the rooms, read from every import of the package; and what a quick command may load.

ARROWS is docs/architecture.md as data: a room imports its own modules, and those of the rooms named here.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import lxdpm_tui

PACKAGE = Path(lxdpm_tui.__file__).parent
ROOT = "lxdpm_tui"

_BELOW_ACTIONS = {"tasks", "scheduler", "fleet", "hosts", "config", "store"}
_BELOW_MANAGER = {"actions", *_BELOW_ACTIONS}
ARROWS: dict[str, set[str]] = {
    "config": set(),
    "store_rows": set(),
    "store": {"store_rows"},
    "hosts": {"config"},
    "fleet": {"hosts", "config"},
    "scheduler": {"fleet"},
    "tasks": {"store", "hosts.transport"},
    "actions": _BELOW_ACTIONS,
    "upstream": _BELOW_MANAGER,
    "manager": {"upstream", *_BELOW_MANAGER},
    "gateway": {"manager", *_BELOW_MANAGER},
    "console": {"manager", "splash", *_BELOW_MANAGER},
    "demo": {"config"},
    "splash": set(),
    "cli": {"manager", "gateway", "console", "demo", "splash", *_BELOW_MANAGER},
    "__init__": {"hosts.handle"},
    "__main__": {"cli", "splash"},
}
ONLY_FOR_TYPES = {("actions", "manager.Manager")}
"""What a room may name in annotations although it may not import it."""


BY_NAME = {"importlib.import_module", "import_module", "__import__"}


class Arrow(NamedTuple):
    """One import: the file and line it stands on, and what it imports ("fleet.inventory.Key", "" for the package)."""

    room: str
    place: str
    target: str
    for_types: bool


def arrows(package: Path) -> Iterator[Arrow]:
    """Every import of the package by itself, however deep in a function it stands; relative ones too."""
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        room = parts[0]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        typed = {id(node) for branch in ast.walk(tree) if _is_for_types(branch) for node in _body(branch)}
        for node in ast.walk(tree):
            for target in _targets(node, parts):
                if target == ROOT or target.startswith(f"{ROOT}."):
                    place = f"{file.relative_to(package.parent)}:{getattr(node, 'lineno', 0)}"
                    yield Arrow(room, place, target[len(ROOT) + 1 :], id(node) in typed)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _body(branch: ast.AST) -> Iterator[ast.AST]:
    assert isinstance(branch, ast.If)
    for statement in branch.body:
        yield from ast.walk(statement)


def _targets(node: ast.AST, parts: tuple[str, ...]) -> list[str]:
    """Full names that a statement imports, a module's members included ("lxdpm_tui.manager.Manager")."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            inside = (ROOT, *parts[:-1])
            base = ".".join((*inside[: len(inside) + 1 - node.level], *([base] if base else [])))
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
        named = node.args[0] if node.args else None
        if isinstance(named, ast.Constant) and isinstance(named.value, str):
            return [named.value]
    return []


def wrong(found: Iterable[Arrow], package: Path) -> list[str]:
    """What is wrong, one line an import; also the rooms that ARROWS does not know."""
    rooms = {path.name for path in package.iterdir() if path.is_dir()} | {path.stem for path in package.glob("*.py")}
    lines = []
    for arrow in found:
        if arrow.room not in ARROWS:
            lines.append(f"{arrow.place}: {arrow.room} is a room without arrows")
            continue
        room = arrow.target.split(".")[0]
        if room not in rooms or room == arrow.room:
            continue  # the package's own members (__version__), or a neighbour in the same room
        if arrow.for_types and (arrow.room, arrow.target) in ONLY_FOR_TYPES:
            continue
        if not any(arrow.target == may or arrow.target.startswith(f"{may}.") for may in ARROWS[arrow.room]):
            lines.append(f"{arrow.place}: {arrow.room} -> {arrow.target}")
    return lines


def test_every_import_follows_the_arrows() -> None:
    found = list(arrows(PACKAGE))
    assert len(found) > 100, "this test does not see the imports"
    assert wrong(found, PACKAGE) == []


def test_the_arrows_have_no_circle() -> None:
    """Else a room below could reach one above by a detour."""
    reached: dict[str, set[str]] = {}

    def below(room: str, path: tuple[str, ...]) -> set[str]:
        assert room not in path, f"circle: {' -> '.join((*path, room))}"
        if room not in reached:
            names = {may.split(".")[0] for may in ARROWS[room]}
            reached[room] = names.union(*(below(name, (*path, room)) for name in names))
        return reached[room]

    for room in ARROWS:
        below(room, ())
    for lower, upper in pairwise(["hosts", "fleet", "scheduler", "actions", "manager", "gateway"]):
        assert lower in reached[upper]
    assert not reached["gateway"] & {"console", "demo", "cli"}
    assert not reached["console"] & {"gateway", "demo", "cli"}


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("config/paths.py", "from lxdpm_tui.store import Store", "config -> store.Store"),
        ("store.py", "import lxdpm_tui.fleet.units", "store -> fleet.units"),
        ("hosts/host.py", "def f():\n    from lxdpm_tui.fleet import decode", "hosts -> fleet.decode"),
        ("fleet/watch.py", "from ..actions import resolve", "fleet -> actions.resolve"),
        ("fleet/watch.py", "from .. import actions", "fleet -> actions"),
        ("scheduler/a.py", "from lxdpm_tui.hosts.host import Host", "scheduler -> hosts.host.Host"),
        ("tasks/manager.py", "from lxdpm_tui.fleet.fleet import Fleet", "tasks -> fleet.fleet.Fleet"),
        ("tasks/manager.py", "from lxdpm_tui.hosts.host import Host", "tasks -> hosts.host.Host"),
        ("actions/a.py", "from lxdpm_tui.manager import Manager", "actions -> manager.Manager"),
        ("actions/a.py", "if TYPE_CHECKING:\n    from lxdpm_tui import manager", "actions -> manager"),
        ("manager.py", "if TYPE_CHECKING:\n    import lxdpm_tui.gateway.server", "manager -> gateway.server"),
        ("gateway/server.py", "from lxdpm_tui.console import text", "gateway -> console.text"),
        ("console/app.py", 'importlib.import_module("lxdpm_tui.gateway.server")', "console -> gateway.server"),
        ("demo/tree.py", "from lxdpm_tui.hosts.host import Host", "demo -> hosts.host.Host"),
        ("demo/tree.py", "from lxdpm_tui.cli.run import say", "demo -> cli.run.say"),
        ("attic/a.py", "from lxdpm_tui import config", "attic is a room without arrows"),
    ],
)
def test_a_wrong_arrow_is_caught(tmp_path: Path, file: str, text: str, line: str) -> None:
    package = made_up(tmp_path, {file: f"import os\n{text}\n"})
    [found] = wrong(arrows(package), package)
    assert re.fullmatch(rf"lxdpm_tui/{re.escape(file)}:\d+: {re.escape(line)}", found)


def test_right_arrows_are_left_alone(tmp_path: Path) -> None:
    package = made_up(
        tmp_path,
        {
            "store.py": "from lxdpm_tui.store_rows import TaskRow",
            "actions/a.py": "if TYPE_CHECKING:\n    from lxdpm_tui.manager import Manager\nfrom .resolve import image",
            "tasks/manager.py": "from lxdpm_tui.hosts.transport import HostError",
            "cli/run.py": "from lxdpm_tui import __version__\nfrom lxdpm_tui.demo.fleet import DemoFleet",
            "gateway/server.py": "from lxdpm_tui.manager import Manager\nimport asyncio, aiohttp",
        },
    )
    assert wrong(arrows(package), package) == []


def made_up(folder: Path, files: dict[str, str]) -> Path:
    """A package with all rooms, and these files in it."""
    package = folder / ROOT
    for room in ARROWS:
        (package / f"{room}.py").parent.mkdir(parents=True, exist_ok=True)
        if (PACKAGE / room).is_dir():
            (package / room).mkdir()
            (package / room / "__init__.py").write_text("")
        else:
            (package / f"{room}.py").write_text("")
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


# -- what is loaded when


def loaded(*command: str) -> set[str]:
    """Top-level packages that a run of `lxdpm-tui` with these arguments loads."""
    program = (
        "import json, sys\nfrom lxdpm_tui.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "sys.stdout.write('\\0' + json.dumps(sorted(sys.modules)))"
    )
    return _run(program, *command)


def _run(program: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.partition("\0")[2])}


HEAVY = {"textual", "rich", "aiohttp", "asyncssh", "pylxd", "cryptography", "tomlkit", "requests", "yaml"}


@pytest.mark.parametrize("command", [("--help",), ("--version",), ("host", "--help"), ("launch", "--help")])
def test_help_and_version_load_nothing_heavy(command: tuple[str, ...]) -> None:
    assert not loaded(*command) & HEAVY


def test_importing_the_package_is_cheap() -> None:
    """It brings nothing along: no room of its own, and of others only the standard library's typing."""
    program = (
        "import sys, json\nfrom typing import TYPE_CHECKING\nbefore = set(sys.modules)\nimport lxdpm_tui\n"
        "sys.stdout.write('\\0' + json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert _run(program) == {"lxdpm_tui", "__future__"}


def test_connect_is_there_without_having_been_loaded() -> None:
    program = (
        "import sys, json, lxdpm_tui\nassert 'pylxd' not in sys.modules\nassert callable(lxdpm_tui.connect)\n"
        "try:\n    lxdpm_tui.nothing\nexcept AttributeError as error:\n    assert 'nothing' in str(error)\n"
        "else:\n    raise AssertionError\n"
        "sys.stdout.write('\\0' + json.dumps(sorted(sys.modules)))"
    )
    assert "lxdpm_tui" in _run(program)


def test_the_first_paint_waits_for_nothing_that_only_a_key_or_a_host_needs() -> None:
    """All of that is loaded behind it (console/later.py), so that it is there when a key is pressed."""
    program = (
        "import sys, json\nimport lxdpm_tui.console.app\n"
        "sys.stdout.write(json.dumps(sorted(sys.modules)) + '\\n')\n"
        "import asyncio\nfrom lxdpm_tui.console import later\nasyncio.run(later.load(later.MODULES))\n"
        "sys.stdout.write(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    first, then = (set(json.loads(line)) for line in done.stdout.splitlines())
    assert not {name.split(".")[0] for name in first} & (HEAVY - {"textual", "rich"})
    assert not {name for name in first if name.startswith(("lxdpm_tui.console.deeds", "lxdpm_tui.manager"))}
    screens = {name for name in first if name.startswith("lxdpm_tui.console.screens.")}
    assert screens == {"lxdpm_tui.console.screens.main"}
    assert "textual.widgets._text_area" not in first
    assert {"lxdpm_tui.console.deeds.beginning", "lxdpm_tui.console.screens.form"} <= then


SERVE = """
import asyncio, json, os, signal, sys
from lxdpm_tui.cli import main, run

real = run.tell

def tell(text):
    real(text)
    if text.startswith("ready "):
        sys.stdout.write("\\0" + json.dumps(sorted(sys.modules)))
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGTERM)

run.tell = tell
sys.exit(main(sys.argv[1:]))
"""


def test_serving_loads_neither_textual_nor_asyncssh_nor_pylxd(tmp_path: Path) -> None:
    """A unix-socket host that is not there is enough: --serve waits for no host."""
    hosts = tmp_path / "hosts.toml"
    hosts.write_text(f'[[hosts]]\nname = "h1"\naddress = "unix://{tmp_path}/none"\n')
    modules = _run(SERVE, "--hosts", str(hosts), "--state", str(tmp_path / "state"), "--serve")
    assert "aiohttp" in modules
    assert not modules & {"textual", "rich", "asyncssh", "pylxd"}


OPENING = """
import asyncio, json, sys, threading
from pathlib import Path

on_the_loop = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        on_the_loop[name] = threading.current_thread() is threading.main_thread()

import lxdpm_tui.manager
from lxdpm_tui.config import HostConfig, Paths, parse_address

async def opened(folder):
    host = HostConfig("h1", parse_address("ssh://127.0.0.1:9/nothing"))
    async with lxdpm_tui.manager.Manager.open(Paths(folder / "hosts.toml", folder / "state"), [host]):
        return

sys.meta_path.insert(0, Watch())
asyncio.run(opened(Path(sys.argv[1])))
sys.stdout.write(json.dumps(on_the_loop))
"""


def test_opening_a_manager_holds_up_no_loop_with_what_it_loads(tmp_path: Path) -> None:
    """A console has keys to take meanwhile: asyncssh and the actions take most of a second."""
    command = [sys.executable, "-c", OPENING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    on_the_loop = json.loads(done.stdout)
    assert on_the_loop["asyncssh"] is False
    assert on_the_loop["lxdpm_tui.actions.networks"] is False
    assert [name for name, there in on_the_loop.items() if there and name.startswith("lxdpm_tui.actions.")] == []
