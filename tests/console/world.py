"""A small fleet by hand, and a manager in process: the real inventory, registry and tasks, actions that only wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
from textual.pilot import Pilot

from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.plan import Limits, Plan, read
from lxdpm_tui.actions.plan_actions import plan_of
from lxdpm_tui.actions.plan_make import make
from lxdpm_tui.actions.registry import ActionError, Danger, Param, Registry
from lxdpm_tui.actions.registry import registry as real
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.terminal_io import screen_text
from lxdpm_tui.fleet.decode import EventWire
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Image, Instance, Inventory, Key, Pool, Profile
from lxdpm_tui.fleet.problems import problems
from lxdpm_tui.fleet.watch import EventListener
from lxdpm_tui.hosts.transport import Unreachable
from lxdpm_tui.scheduler.model import Strategy
from lxdpm_tui.tasks.task import Status, Task, text_of

GIB = 1 << 30
NOW = 1_790_000_000.0


def fill(inventory: Inventory, *, hosts: int = 4, each: int = 6, now: float | None = None) -> None:
    """Hosts h1.. with instances web-1.. on each, an image and two profiles everywhere."""
    now = time.time() if now is None else now
    for number in range(1, hosts + 1):
        name = f"h{number}"
        inventory.add_host(
            HostRecord(
                name=name,
                address=f"https://10.0.0.{number}:8443",
                transport="https",
                labels={"site": "lyon"} if number % 2 else {"ssd": ""},
                status=HostStatus.ONLINE,
                since=now - 3600,
                reached=now,
                scanned=now,
                event_stream=True,
                round_trip=0.0021 * number,
                kind="incus" if number == hosts else "lxd",
                version="6.0.4" if number == hosts else "5.0.2",
                architectures=("x86_64",),
                instance_types=("container",),
                cpus=8,
                load=0.4 * number,
                memory_total=16 * GIB,
                memory_used=number * 3 * GIB,
                pools={"default": Pool("default", "zfs", 100 * GIB, 30 * GIB)},
                networks=frozenset({"lxdbr0"}),
                projects=("default",),
            )
        )
        inventory.replace(
            "instances",
            name,
            [
                Instance(
                    host=name,
                    project="default",
                    name=f"web-{(number - 1) * each + count}",
                    status="Stopped" if count % 3 == 0 else "Running",
                    architecture="x86_64",
                    created_at="2026-01-10T10:00:00.123456789Z",
                    profiles=("default",),
                    image="Debian bookworm amd64",
                    memory_limit=2 * GIB,
                    root_pool="default",
                    networks=("lxdbr0",),
                    addresses=() if count % 3 == 0 else (f"10.1.{number}.{count}",),
                    memory=-1 if count % 3 == 0 else count * 100 << 20,
                    cpu=-1.0 if count % 3 == 0 else 7.5 * count,
                    seen=now,
                    raw=b'{"config": {"user.tag": "web"}, "expanded_config": {"user.tag": "web", "limits.cpu": "2"}}',
                )
                for count in range(1, each + 1)
            ],
        )
        inventory.replace(
            "images",
            name,
            [
                Image(
                    host=name,
                    project="default",
                    fingerprint="ab12" * 16,
                    aliases=("debian/12",),
                    description="Debian bookworm amd64",
                    architecture="x86_64",
                    size=98 << 20,
                    uploaded_at="2026-02-01T00:00:00Z",
                    seen=now,
                )
            ],
        )
        inventory.replace(
            "profiles",
            name,
            [
                Profile(
                    host=name,
                    project="default",
                    name="default",
                    description="Default LXD profile",
                    config={},
                    devices={"root": {"type": "disk", "path": "/", "pool": "default"}},
                    used_by=each,
                    seen=now,
                ),
                Profile(
                    host=name,
                    project="default",
                    name="small",
                    config={"limits.memory": "512MiB" if number == 1 else "1GiB"},
                    seen=now,
                ),
            ],
        )


class Tasks:
    """Tasks of the in-process manager; each ends when `release` is called or its action says so."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self._listeners: list[Callable[[Task], None]] = []

    def add(self, task: Task) -> Task:
        self.tasks[task.id] = task
        task.subscribe(self._tell)
        task.update(status=Status.RUNNING)
        return task

    def _tell(self, task: Task) -> None:
        for listener in tuple(self._listeners):
            listener(task)

    def subscribe(self, listener: Callable[[Task], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def history(self, limit: int = 100) -> list[Task]:
        return sorted(self.tasks.values(), key=lambda task: -task.created)[:limit]


class Watch:
    def __init__(self, world: World, host: str) -> None:
        self._world, self._host = world, host

    def retry_now(self) -> None:
        self._world.retried.append(self._host)


class Host:
    """Answers for the snapshots of its instances, and with what the world's `answers` have under a path."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    async def get(self, path: str, **params: Any) -> Any:
        if self._world.silent:
            raise Unreachable("no route to host", self._name)
        if path.endswith("/snapshots"):
            return self._world.snapshots
        return self._world.answers.get(f"{self._name}{path}", self._world.answers.get(path, []))


class World:
    """What the console needs of a manager; it notes what it was asked."""

    def __init__(self) -> None:
        self.inventory = Inventory()
        self.tasks = Tasks()
        self.fleet = self
        self.scheduler = self
        self.strategy = Strategy.RANDOM
        self.attached_to = ""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.retried: list[str] = []
        self.figures: list[bool] = []
        self.refuse: dict[str, str] = {}
        self.registry = make_registry()
        self.snapshots: list[dict[str, Any]] = []
        self.silent = False
        self.closed = False
        self.listeners: list[EventListener] = []
        self.answers: dict[str, Any] = {}
        self.acknowledged: dict[str, str] = {}  # status of the fleet's own warnings

    @property
    def hosts(self) -> dict[str, Host]:
        return {name: Host(self, name) for name in self.inventory.hosts}

    def want_figures(self, wanted: bool) -> None:
        self.figures.append(wanted)

    def subscribe_events(self, listener: EventListener) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def happen(self, host: str, action: str, source: str, **more: Any) -> None:
        """A lifecycle event of a host."""
        metadata = msgspec.json.encode({"action": action, "source": source, **more})
        event = EventWire("lifecycle", "2026-11-22T10:00:00.5Z", msgspec.Raw(metadata), project="default")
        for listener in tuple(self.listeners):
            listener(host, b"", event)

    def watch(self, host: str) -> Watch:
        return Watch(self, host)

    async def run(self, action: str, /, **arguments: Any) -> Task:
        self.calls.append((action, arguments))
        if action in self.refuse:
            raise ActionError(self.refuse[action])
        return await self.registry.run(self, action, **arguments)  # type: ignore[arg-type]

    async def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Plan:
        return plan_of(self, action, arguments)  # type: ignore[arg-type]

    def plan_over(self, act: str, rows: Iterable[Instance], options: Mapping[str, Any], limits: Limits) -> Plan:
        return make(self.inventory, act, list(rows), options, limits)

    async def fleet_warnings(self) -> list[dict[str, Any]]:
        return [
            {
                "uuid": problem.uuid,
                "location": problem.location,
                "project": problem.project,
                "type": problem.type,
                "count": 1,
                "first_seen_at": text_of(problem.since) if problem.since else "",
                "last_seen_at": text_of(time.time()),
                "last_message": problem.message,
                "severity": problem.severity,
                "entity_url": problem.entity,
                "status": self.acknowledged.get(problem.uuid, "new"),
            }
            for problem in problems(self.inventory)
        ]

    async def preview(self, **arguments: Any) -> list[dict[str, Any]]:
        if arguments.get("image") == "nowhere":
            raise ActionError("Image not found", 404)
        hosts = [
            {"host": name, "score": 100.0 - n, "reason": "", "memory_free": 5 * GIB, "instances": 6, "cpus": 8}
            for n, name in enumerate(self.inventory.hosts)
        ]
        hosts[-1] |= {"score": None, "reason": "in maintenance"}
        target = arguments.get("target") or "h1"
        return [
            {"instance": arguments.get("name") or "able-fox", "strategy": "scatter", "chosen": target, "hosts": hosts}
            for _ in range(arguments.get("count", 1))
        ]

    @property
    def last(self) -> tuple[str, dict[str, Any]]:
        return self.calls[-1]

    @property
    def task(self) -> Task:
        """The newest task."""
        return list(self.tasks.tasks.values())[-1]


_INSTANCES = Param("instances", "instances", positional=True, required=True, many=True, complete="instance")
_INSTANCE = Param("instance", "an instance", positional=True, required=True, complete="instance")
_PROJECT = Param("project", "the project", default="default", complete="project")


def make_registry() -> Registry:
    """The actions by their real names and arguments; each starts a task that stays running."""
    registry = Registry()

    def enter(name: str, *params: Param, danger: Danger = Danger.NONE) -> None:
        async def run(world: Any, **arguments: Any) -> Task:
            refs = arguments.get("instances") or [r for r in (arguments.get("instance"),) if r]
            task = Task(
                kind=name,
                description=f"{name.capitalize()} things",
                resources={"instances": [f"/1.0/instances/{ref.rpartition(':')[2]}" for ref in refs]} if refs else {},
                hosts={ref: {"status": "running"} for ref in refs},
                owner="console",
            )
            added: Task = world.tasks.add(task)
            return added

        registry.action(name, f"does {name}", *params, danger=danger)(run)

    many = (_INSTANCES, _PROJECT)
    force = (Param("force", "at once", kind="flag"), Param("timeout", "seconds", kind="integer", default=30))
    one = (_INSTANCE, _PROJECT)
    name = Param("name", "name", positional=True, default="")
    mappings = (Param("config", "KEY=VALUE", kind="mapping"), Param("devices", "devices", kind="mapping"))
    hosts = Param("hosts", "hosts", many=True, complete="host")
    enter("launch", Param("image", "image", positional=True, required=True, complete="image"), name, *mappings,
          Param("profiles", "profiles", many=True), Param("type", "type"), _PROJECT, Param("strategy", "strategy"),
          Param("target", "host", complete="host"), Param("count", "how many", kind="integer", default=1),
          Param("ephemeral", "ephemeral", kind="flag"), Param("no_start", "do not start", kind="flag"))  # fmt: skip
    enter("start", *many)
    enter("stop", *many, *force, danger=Danger.CONFIRM)
    enter("restart", *many, *force, danger=Danger.CONFIRM)
    enter("freeze", *many, danger=Danger.CONFIRM)
    enter("unfreeze", *many)
    enter("delete", *many, Param("force", "running ones too", kind="flag"), danger=Danger.TYPE_NAME)
    enter("rename", *one, Param("new_name", "new name", positional=True, required=True))
    enter("snapshot", *one, name, Param("stateful", "with processes", kind="flag"), Param("expires", "until"))
    enter("copy", *one, Param("new_name", "name", positional=True), Param("instance_only", "alone", kind="flag"),
          Param("start", "start it", kind="flag"))  # fmt: skip
    enter("publish", *one, Param("aliases", "names", many=True), hosts, Param("property", "of it", kind="mapping"),
          Param("reuse", "move", kind="flag"), Param("public", "public", kind="flag"))  # fmt: skip
    enter("restore", *one, Param("snapshot", "snapshot", positional=True, required=True), danger=Danger.CONFIRM)
    enter("snapshot-delete", *one, Param("snapshot", "snapshot", positional=True, required=True), danger=Danger.CONFIRM)
    enter("profile-create", name, Param("description", "about", default=""), *mappings, hosts, _PROJECT)
    enter("profile-edit", name, Param("description", "about"), *mappings, hosts, _PROJECT, danger=Danger.CONFIRM)
    enter("profile-delete", name, hosts, _PROJECT, danger=Danger.CONFIRM)
    enter("profile-assign", _INSTANCE, Param("profiles", "profiles", positional=True, many=True), _PROJECT)
    enter("image-import", Param("source", "from", positional=True, required=True), Param("aliases", "names", many=True),
          hosts, _PROJECT, Param("public", "public", kind="flag"), Param("pending", "later", kind="flag"))  # fmt: skip
    enter(
        "image-delete", Param("fingerprint", "image", positional=True, required=True), _PROJECT, danger=Danger.CONFIRM
    )
    enter("maintenance", Param("host", "host", positional=True, required=True, complete="host"),
          Param("on", "on or off", kind="choice", choices=("on", "off"), positional=True, required=True))  # fmt: skip
    enter("host-add", Param("name", "name", positional=True), Param("address", "where", positional=True),
          Param("token", "token"), Param("password", "password"), Param("fingerprint", "of it"),
          Param("labels", "labels", kind="mapping"), Param("identity_file", "key"))  # fmt: skip
    host = Param("host", "host", positional=True, required=True, complete="host")
    enter("host-remove", host, danger=Danger.CONFIRM)
    enter("host-label", host, Param("labels", "labels", many=True, positional=True))
    enter(
        "profile-level", name, Param("like", "host", positional=True), Param("keep", "kept", many=True), hosts, _PROJECT
    )
    enter("exec", _INSTANCES, Param("run", "command"), Param("cwd", "where", default=""), _PROJECT,
          Param("timeout", "seconds", kind="integer"))  # fmt: skip
    enter("edit", Param("kind", "of what", positional=True), Param("name", "which", positional=True),
          Param("yaml", "the object", kind="file", positional=True), Param("was", "before"), _PROJECT,
          danger=Danger.CONFIRM)  # fmt: skip
    enter("warning-ack", Param("warnings", "ids", many=True, positional=True), Param("again", "new", kind="flag"))
    enter("warning-delete", Param("warnings", "ids", many=True, positional=True), danger=Danger.CONFIRM)
    enter("image-alias-create", Param("fingerprint", "image", positional=True), name, _PROJECT)
    enter("image-alias-delete", name, _PROJECT)
    _plans(registry)
    load_all()
    enter("bulk", *real.actions["bulk"].params, danger=Danger.TYPE_NAME)
    return registry


def _plans(registry: Registry) -> None:
    """A plan's task, which shows the plan it was given; what is said to it is only noted."""

    @registry.action("run", "runs a plan", Param("plan", "the plan", kind="file", positional=True, required=True))
    async def run(world: Any, *, plan: str) -> Task:
        told = read(plan)
        told.state = "running"
        task = Task(told.act, told.about, metadata={"plan": told.to_dict()}, hosts={host: {} for host in told.hosts})
        added: Task = world.tasks.add(task)
        return added

    async def same(world: Any, *, task: str) -> Task:
        found: Task = world.tasks.tasks[task]
        return found

    for name in ("plan-pause", "plan-resume", "plan-retry", "plan-skip"):
        registry.action(name, f"does {name}", Param("task", "its id", positional=True, required=True))(same)


def opener(world: World, gate: asyncio.Event | None = None) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """A factory as the console wants it; waits for the gate before the manager is there."""

    @asynccontextmanager
    async def open_manager() -> AsyncIterator[World]:
        if gate is not None:
            await gate.wait()
        try:
            yield world
        finally:
            world.closed = True

    return open_manager


def console(world: World, **more: Any) -> Console:
    """A console over that world."""
    app = Console(open_manager=opener(world), **more)
    app.session.registry = world.registry
    return app


def key(host: str, name: str) -> Key:
    return Key(host, "default", name)


async def until(pilot: Pilot[Any], condition: Callable[[], object], seconds: float = 40.0) -> None:
    """Let the console work until the condition holds; fails with what is on screen when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not reached; on screen:\n" + "\n".join(screen_text(pilot.app)))
        await pilot.pause(0.02)


def shown(pilot: Pilot[Any]) -> str:
    """The screen as text."""
    return "\n".join(screen_text(pilot.app))
