"""What is being done to instances right now, from the running tasks: "Stopping..." in the rows. No widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.tasks.task import Task

VERBS = {
    "launch": "Creating",
    "create": "Creating",
    "start": "Starting",
    "stop": "Stopping",
    "restart": "Restarting",
    "freeze": "Freezing",
    "unfreeze": "Thawing",
    "delete": "Deleting",
    "rename": "Renaming",
    "snapshot": "Snapshotting",
    "restore": "Restoring",
    "move": "Moving",
    "copy": "Copying",
    "publish": "Publishing",
    "configure": "Reconfiguring",
    "config-set": "Reconfiguring",
    "config-unset": "Reconfiguring",
    "device-add": "Reconfiguring",
    "device-remove": "Reconfiguring",
    "profile-assign": "Reconfiguring",
    "snapshot-expiry": "Tidying",
    "snapshot-rename": "Tidying",
    "snapshot-delete": "Tidying",
}


def instances_of(task: Task) -> list[tuple[str, str]]:
    """(project, name) of every instance that the task's resources name."""
    if "plan" in task.metadata and not task.status.final:  # of a plan those that are under way now, not all it is about
        items = task.metadata["plan"].get("items") or ()
        return [(item.get("project", "default"), item["name"]) for item in items if item.get("state") == "running"]
    found: dict[tuple[str, str], None] = {}  # LXD tells containers twice, as instances too
    for kind in ("instances", "containers"):
        for url in task.resources.get(kind) or []:
            parts = urlsplit(url)
            name = unquote(parts.path.rstrip("/").rpartition("/")[2])
            project = parse_qs(parts.query).get("project", [task.project])[0]
            if name:
                found[project, name] = None
    return list(found)


def verb(task: Task) -> str:
    """`Stopping...` for a stop; the kind itself when it has no word of its own."""
    kind = task.kind.removeprefix("instance-")
    return VERBS.get(kind, VERBS.get(kind.rpartition("-")[0], kind.replace("-", " ").capitalize())) + "…"


@dataclass(slots=True)
class Activity:
    """Which instances are under way, and to what. Kept by feeding it every change of every task."""

    _by_task: dict[str, tuple[str, frozenset[str], frozenset[tuple[str, str]]]] = field(default_factory=dict)

    def follow(self, task: Task) -> frozenset[tuple[str, str]]:
        """Take note of a task's state; gives the (project, name)s whose rows look different now."""
        before = self._by_task.pop(task.id, None)
        affected = before[2] if before else frozenset()
        if task.status.final:
            return affected
        subjects = frozenset(instances_of(task))
        if not subjects:
            return affected
        now = (verb(task), frozenset(task.hosts), subjects)
        self._by_task[task.id] = now
        return frozenset() if now == before else affected | subjects

    def of(self, key: Key) -> str:
        """What is being done to that instance, or "". Tasks tell their hosts as HOST or as HOST:NAME."""
        for word, hosts, subjects in self._by_task.values():
            if (key.project, key.name) in subjects and (
                not hosts or key.host in hosts or f"{key.host}:{key.name}" in hosts
            ):
                return word
        return ""
