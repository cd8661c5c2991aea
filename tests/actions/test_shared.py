"""Objects under one name on all hosts: the three-way merge, and what takes each step back on a real host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxdpm_tui.actions import networks, projects, shared
from lxdpm_tui.actions.storage import POOLS
from tests.actions.images import managed
from tests.gateway import direct
from tests.lab.lab import Lab

BRIDGE = {"ipv4.address": "10.199.3.1/24", "ipv6.address": "none"}


def test_a_merge_changes_what_the_editor_changed_and_nothing_else() -> None:
    old = {"description": "d", "config": {"a": "1", "b": "2", "gone": "x"}}
    new = {"description": "d", "config": {"a": "1", "b": "3", "new": "y"}}
    own = {"description": "mine", "config": {"a": "7", "b": "2", "gone": "x", "ipv4.address": "10.1.1.1/24"}}
    merged = shared.merge(networks.NETWORKS, old, new, own)
    assert merged == {
        "description": "mine",
        "config": {"a": "7", "b": "3", "new": "y", "ipv4.address": "10.1.1.1/24"},
    }


def test_of_a_list_only_what_the_editor_took_out_or_added_changes() -> None:
    one, two, three, own_rule = ({"action": word} for word in ("allow", "drop", "reject", "log"))
    old = {"ingress": [one, two], "egress": []}
    new = {"ingress": [two, three], "egress": [one]}
    own = {"ingress": [one, own_rule, two], "egress": [one]}
    merged = shared.merge(networks.ACLS, old, new, own)
    assert merged["ingress"] == [own_rule, two, three]
    assert merged["egress"] == [one]


def test_a_pool_is_made_anew_without_files_that_the_host_had_made() -> None:
    own = {"driver": "btrfs", "config": {"size": "1GiB", "source": "/var/lib/lxd/disks/x.img", "volatile.a": "b"}}
    assert shared.recreate_body(POOLS, "x", own)["config"] == {"size": "1GiB"}
    own = {"driver": "zfs", "config": {"source": "tank/lxd"}}
    body = shared.recreate_body(POOLS, "x", own)
    assert body == {"name": "x", "driver": "zfs", "description": "", "config": {"source": "tank/lxd"}}


def test_a_common_part_leaves_out_what_differs_by_nature() -> None:
    left, right = (
        {"type": "bridge", "config": {"ipv4.address": f"10.1.{n}.1/24", "ipv4.nat": "true", "volatile.x": str(n)}}
        for n in (1, 2)
    )
    assert networks.NETWORKS.common(left) == networks.NETWORKS.common(right)
    assert projects.PROJECTS.common({"config": {"features.storage.buckets": "true"}}) == projects.PROJECTS.common({})


async def test_every_step_can_be_taken_back_twice(clean_lab: Lab, tmp_path: Path) -> None:
    async def at_h1(path: str, method: str = "GET", body: object = None) -> Any:
        return await direct.ask(clean_lab, "h1", method, path, body)

    async with managed(clean_lab, tmp_path) as manager:

        async def undo(handler: str, **args: Any) -> None:
            for _ in range(2):
                await manager.tasks.undo_handlers[handler]({"host": "h1", "task": "t", "project": "default", **args})

        where = {"collection": "/1.0/networks", "name": "undone"}
        body = {"name": "undone", "type": "bridge", "description": "", "config": BRIDGE}
        await undo("shared.present", **where, body=body)
        assert (await at_h1("/1.0/networks/undone"))["config"]["ipv4.address"] == "10.199.3.1/24"

        before = {"description": "", "config": {**BRIDGE}}
        after = {"description": "ours", "config": {**BRIDGE, "user.a": "1", "user.b": "2"}}
        await at_h1("/1.0/networks/undone", "PUT", after)
        await at_h1("/1.0/networks/undone", "PATCH", {"config": {"user.b": "somebody else's"}})
        await undo("shared.restore", path="/1.0/networks/undone", before=before, after=after)
        found = await at_h1("/1.0/networks/undone")
        assert (found["description"], found["config"]["user.b"]) == ("", "somebody else's")
        assert "user.a" not in found["config"]

        await at_h1("/1.0/networks/undone", "POST", {"name": "undone2"})
        await undo("shared.renamed-back", collection="/1.0/networks", name="undone2", old_name="undone")
        await undo("shared.absent", **where)
        assert "/1.0/networks/undone" not in await at_h1("/1.0/networks")

        project = {"name": "back", "config": {"features.profiles": "true"}, "description": "d"}
        await undo("shared.present", collection="/1.0/projects", name="back", body=project)
        profile = {"description": "p", "config": {"user.x": "y"}, "devices": {}}
        await undo("project.profile", project="back", body=profile)
        assert (await at_h1("/1.0/profiles/default?project=back"))["config"] == {"user.x": "y"}


async def test_a_deletion_keeps_in_its_journal_what_brings_the_default_profile_back(
    clean_lab: Lab, tmp_path: Path
) -> None:
    async with managed(clean_lab, tmp_path) as manager:
        task = await projects.create(manager, {"name": "gone", "config": {"features.profiles": "true"}})
        assert (await task.wait()).text == "Success", task.error
        profile = {"description": "mine", "config": {}, "devices": {}}
        await direct.ask(clean_lab, "h1", "PUT", "/1.0/profiles/default?project=gone", profile)
        task = await projects.delete(manager, "gone")
        assert (await task.wait()).text == "Success", task.error
        steps = [step for step in await manager.store.list_steps(task.id) if step.host == "h1"]
        assert [step.undo for step in steps] == ["project.profile", "shared.present"]
        for step in reversed(steps):
            await manager.tasks.undo_handlers[step.undo](dict(step.args))
        back = await direct.ask(clean_lab, "h1", "GET", "/1.0/profiles/default?project=gone")
        assert back["description"] == "mine"
