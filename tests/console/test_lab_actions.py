"""Every action, typed on the `:` line of a console over real daemons, which are then asked what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

import lxdpm_tui.actions
from lxdpm_tui.actions.plan import Call, Item, Plan
from lxdpm_tui.actions.registry import registry
from lxdpm_tui.config import Paths, load_hosts
from lxdpm_tui.console.app import Console
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.console.test_going import line
from tests.console.test_lab import PATIENCE, opened, there
from tests.console.world import shown, until
from tests.lab.lab import Lab

LXD = ("h1", "h2", "h3")
BY_KEY = {"plan-pause", "plan-resume", "plan-retry", "plan-skip"}
"""They are about a run that is under way: pressed on its board in test_lab_plan.py and test_attached.py."""

Step = tuple[str, Callable[[], Any]]


class Steps:
    """What is typed, and what the daemons say then. Checks run beside the loop, which has connections to them too."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder

    def get(self, host: str, path: str) -> Any:
        return there(self.lab, host, path)

    def everywhere(self, path: str, holds: Callable[[Any], object] = bool, hosts: Iterable[str] = LXD) -> bool:
        """Whether it holds for what each host has there, None for nothing."""
        return all(holds(self.get(host, path)) for host in (*hosts, "i1"))

    def nowhere(self, path: str) -> bool:
        return self.everywhere(path, lambda found: not found)

    def inside(self, *command: str) -> str:
        return self.lab.hosts["h3"].cli("exec", "c1", "--", *command)

    def c1(self, path: str = "") -> Any:
        return self.get("h3", f"/1.0/instances/c1{path}")

    def instance(self) -> list[Step]:
        pids: list[int] = []
        (self.folder / "sent.txt").write_text("sent")

        def status(wanted: str) -> Callable[[], bool]:
            return lambda: bool(self.c1()) and self.c1()["status"] == wanted

        def began() -> bool:
            pids.append(self.c1("/state")["pid"])
            return pids[-1] > 0

        return [
            ("launch busybox c1 --target h3", status("Running")),
            ("stop c1 --force --yes", status("Stopped")),
            ("start c1", began),
            ("restart c1 --force --yes", lambda: self.c1("/state")["pid"] not in (0, pids[-1])),
            ("freeze c1 --yes", status("Frozen")),
            ("unfreeze c1", status("Running")),
            ("exec c1 --run 'touch /root/ran'", lambda: "ran" in self.inside("ls", "/root")),
            (
                f"file-push {self.folder}/sent.txt c1 --to /root/",
                lambda: self.inside("cat", "/root/sent.txt") == "sent",
            ),
            (f"file-pull c1 /root/sent.txt {self.folder}/back.txt", (self.folder / "back.txt").exists),
            ("config-set c1 user.a=1", lambda: self.c1()["config"].get("user.a") == "1"),
            ("config-unset c1 user.a", lambda: "user.a" not in self.c1()["config"]),
            ("device-add c1 none1 type=none", lambda: "none1" in self.c1()["devices"]),
            ("device-remove c1 none1", lambda: "none1" not in self.c1()["devices"]),
            ("snapshot c1 s1", lambda: self.c1("/snapshots/s1")),
            ("snapshot-rename c1 s1 s2", lambda: self.c1("/snapshots/s2")),
            ("snapshot-expiry c1 s2 30d", lambda: not self.c1("/snapshots/s2")["expires_at"].startswith("0001")),
            ("config-set c1 user.b=1", lambda: "user.b" in self.c1()["config"]),
            ("restore c1 s2 --yes", lambda: "user.b" not in self.c1()["config"]),
            ("snapshot-delete c1 s2 --yes", lambda: not self.c1("/snapshots")),
            ("copy c1 c2", lambda: self.get("h3", "/1.0/instances/c2")),
            ("rename c2 c3", lambda: self.get("h3", "/1.0/instances/c3")),
            (
                "bulk configure c1 c3 --set user.c=1 --yes",
                lambda: self.get("h3", "/1.0/instances/c3")["config"]["user.c"],
            ),
            ("publish c3 --aliases built", lambda: self.everywhere("/1.0/images/aliases/built")),
            ("delete c3 --yes", lambda: not self.get("h3", "/1.0/instances/c3")),
            ("delete c1 --force --yes", lambda: not self.c1()),
        ]

    def images(self) -> list[Step]:
        alias = "/1.0/images/aliases/"
        file = self.lab.make_image("typed")
        return [
            (f"image-import {file} --aliases typed", lambda: self.everywhere(alias + "typed")),
            ("image-alias-create typed second", lambda: self.everywhere(alias + "second")),
            ("image-alias-rename second third", lambda: self.everywhere(alias + "third")),
            ("image-alias-delete third --yes", lambda: self.nowhere(alias + "third")),
            ("image-delete typed --yes", lambda: self.nowhere(alias + "typed")),
        ]

    def profiles(self) -> list[Step]:
        path = "/1.0/profiles/"

        def note(wanted: str) -> Callable[[], bool]:
            return lambda: self.everywhere(path + "p2", lambda found: found["config"].get("user.note") == wanted)

        def drift() -> bool:
            self.lab.hosts["h2"].api("PATCH", path + "p2", {"config": {"user.note": "own"}})
            return True

        def assigned(*names: str) -> Callable[[], bool]:
            return lambda: self.c1()["profiles"] == list(names)

        return [
            ("profile-create p1 --config user.note=1", lambda: self.everywhere(path + "p1")),
            ("profile-rename p1 p2", lambda: self.everywhere(path + "p2") and self.nowhere(path + "p1")),
            ("profile-edit p2 --config user.note=2 --yes", note("2")),
            ("edit profile p2 --yaml 'config: {user.note: three}' --yes", note("three")),
            ("launch busybox c1 --target h3 --no-start", self.c1),
            ("profile-assign c1 default p2 --yes", assigned("default", "p2")),
            ("profile-assign c1 default --yes", lambda: assigned("default")() and drift()),
            ("profile-level p2 h1 --yes", note("three")),
            ("profile-delete p2 --yes", lambda: self.nowhere(path + "p2")),
            ("delete c1 --yes", lambda: not self.c1()),
        ]

    def shared(self) -> list[Step]:
        """Networks, pools and projects: of all hosts."""
        bridge = "--config ipv4.address=10.199.41.1/24 --config ipv6.address=none"

        def word(kind: str, name: str) -> Callable[[], bool]:
            return lambda: self.everywhere(f"/1.0/{kind}/{name}", lambda found: found["description"] == "mine")

        return [
            (f"network-create n1 {bridge}", lambda: self.everywhere("/1.0/networks/n1")),
            ("network-edit n1 --description mine --yes", word("networks", "n1")),
            ("network-rename n1 n2", lambda: self.everywhere("/1.0/networks/n2")),
            ("network-delete n2 --yes", lambda: self.nowhere("/1.0/networks/n2")),
            ("pool-create p1 dir", lambda: self.everywhere("/1.0/storage-pools/p1")),
            ("pool-edit p1 --description mine --yes", word("storage-pools", "p1")),
            ("pool-delete p1 --yes", lambda: self.nowhere("/1.0/storage-pools/p1")),
            ("project-create q1", lambda: self.everywhere("/1.0/projects/q1")),
            ("project-edit q1 --description mine --yes", word("projects", "q1")),
            ("project-rename q1 q2", lambda: self.everywhere("/1.0/projects/q2")),
            ("project-delete q2 --yes", lambda: self.nowhere("/1.0/projects/q2")),
        ]

    def warnings(self) -> list[Step]:
        """The daemons of the lab warn of what this kernel lacks."""
        path = self.get("h1", "/1.0/warnings")[0]
        word = f"h1:{path.rpartition('/')[2]}"
        return [
            (f"warning-ack {word}", lambda: self.get("h1", path)["status"] == "acknowledged"),
            (f"warning-delete {word} --yes", lambda: not self.get("h1", path)),
        ]

    def saved_plan(self) -> list[Step]:
        call = Call("PATCH", "/1.0/instances/c1", {"config": {"user.run": "1"}})
        plan = Plan("configure", "Configuring", [Item("h3", "c1", (call,))])
        plan.arrange()
        file = self.folder / "plan.json"
        file.write_text(plan.to_json())
        return [
            ("launch busybox c1 --target h3 --no-start", self.c1),
            (f"run {file} --yes", lambda: self.c1()["config"].get("user.run") == "1"),
            ("delete c1 --yes", lambda: not self.c1()),
        ]


async def typed(pilot: Pilot[int], steps: Iterable[Step]) -> None:
    """Type each, wait for the end of its task, then look."""
    app = pilot.app
    assert isinstance(app, Console)
    for words, check in steps:
        before = set(app.session.tasks)
        await line(pilot, words)
        await until(
            pilot, lambda before=before: set(app.session.tasks) - before and not app.session.running(), PATIENCE
        )
        for new in set(app.session.tasks) - before:
            task = app.session.tasks[new]
            assert task.status is Status.SUCCESS, f"{words}: {task.error}"
        try:
            async with asyncio.timeout(PATIENCE):
                while not await asyncio.to_thread(check):
                    await pilot.pause(0.1)
        except TimeoutError:
            pytest.fail(f"{words}: never so; on screen:\n{shown(pilot)}")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["instance", "images", "profiles", "shared", "warnings", "saved_plan"])
async def test_what_is_typed_is_done(clean_lab: Lab, tmp_path: Path, kind: str) -> None:
    steps = getattr(Steps(clean_lab, tmp_path), kind)()
    async with opened(clean_lab, tmp_path) as pilot:
        await typed(pilot, steps)


def of_hosts(lab: Lab, file: Path, console: Console) -> list[Step]:
    inventory = console.session.inventory

    def known() -> dict[str, Any]:
        return {config.name: config for config in load_hosts(file)}

    def usable(name: str) -> Callable[[], bool]:
        return lambda: name in inventory.hosts and inventory.hosts[name].usable

    socket = lab.hosts["i1"].socket
    return [
        (f"host-add new unix://{socket}", usable("new")),
        ("host-label new ssd fast", lambda: list(known()["new"].labels) == ["ssd", "fast"]),
        ("maintenance new on", lambda: inventory.hosts["new"].maintenance),
        ("maintenance new off", lambda: not inventory.hosts["new"].maintenance),
        ("host-remove new --yes", lambda: "new" not in known() and "new" not in inventory.hosts),
        (f"host-import {lab.base / 'client' / 'lxc'}", usable("h1")),
    ]


@asynccontextmanager
async def without_hosts(lab: Lab, folder: Path) -> AsyncIterator[tuple[Pilot[int], Console]]:
    """A console on a hosts.toml that has one host."""
    file = folder / "hosts.toml"
    file.write_text(f'[[hosts]]\nname = "first"\naddress = "unix://{lab.hosts["h2"].socket}"\n')
    paths = Paths(file, folder / "state")

    @asynccontextmanager
    async def open_manager() -> AsyncIterator[Manager]:
        async with Manager.open(paths, load_hosts(file)) as manager:
            manager.hosts_file.follow(file)
            yield manager

    app = Console(open_manager=open_manager)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any(host.scanned for host in app.session.inventory.hosts.values()), PATIENCE)
        yield pilot, app


@pytest.mark.timeout(400)
async def test_what_is_typed_of_hosts_is_done(clean_lab: Lab, tmp_path: Path) -> None:
    async with without_hosts(clean_lab, tmp_path) as (pilot, app):
        await typed(pilot, of_hosts(clean_lab, tmp_path / "hosts.toml", app))


def test_no_action_is_left_out(lab: Lab, tmp_path: Path) -> None:
    lxdpm_tui.actions.load_all()
    steps = Steps(lab, tmp_path)
    made = [steps.instance(), steps.images(), steps.profiles(), steps.shared(), steps.warnings(), steps.saved_plan()]
    console = Console(open_manager=lambda: Manager.open(Paths(tmp_path, tmp_path), []))
    hosts = of_hosts(lab, tmp_path / "hosts.toml", console)
    words = {said.split()[0] for each in (*made, hosts) for said, _ in each}
    assert words | BY_KEY == set(registry.actions)
