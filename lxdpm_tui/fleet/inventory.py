"""The live model of the whole fleet: slotted records by key, change sets per host, counters.

No I/O and no clock of its own: watch.py fills it, everybody else reads it and subscribes to changes.
One event loop owns it; it is not thread-safe.

Units: memory and storage in bytes, times as seconds since the epoch (float) unless a name ends in ``_at``,
which is LXD's own text (nanoseconds, possibly the zero value) passed on as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec


class HostStatus(StrEnum):
    """What is known of the way to a host. `maintenance` is the user's word and is kept apart from it."""

    CONNECTING = "connecting"
    ONLINE = "online"
    SLOW = "slow"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    IDENTITY_CHANGED = "identity changed"


USABLE = frozenset({HostStatus.ONLINE, HostStatus.SLOW})


class Key(NamedTuple):
    """Names one object of the fleet. For images `name` is the fingerprint. Server-wide kinds use project ""."""

    host: str
    project: str
    name: str


class Pool(msgspec.Struct, frozen=True):
    name: str
    driver: str
    total: int = 0
    used: int = 0


class HostRecord(msgspec.Struct, kw_only=True):
    """One host as last seen.

    reached: when the host last answered anything. scanned: when the last full scan ended; 0 = never.
    event_stream: whether its events arrive, so that what is shown is kept true.
    round_trip: seconds the last heartbeat took. overdue: the present one is late, so that the host may be hung.
    cluster: name of the entry whose member it is; "" for a host of its own.
    retry_at: when the next connection try is due; 0 = none pending.
    memory_used leaves the page cache out, as /1.0/resources does.
    drivers: of storage, (name, version, remote).  config: of the daemon's own, the keys that may be the fleet's.
    environment: more of what /1.0 tells, for show.
    """

    name: str
    address: str = ""
    transport: str = ""
    labels: Mapping[str, str] = {}
    cluster: str = ""
    status: HostStatus = HostStatus.CONNECTING
    reason: str = ""
    since: float = 0.0
    maintenance: bool = False
    read_only: bool = False
    reached: float = 0.0
    scanned: float = 0.0
    event_stream: bool = False
    round_trip: float = 0.0
    overdue: bool = False
    retry_at: float = 0.0
    kind: str = ""  # "lxd" or "incus"
    version: str = ""
    server_name: str = ""
    kernel: str = ""
    os: str = ""
    architectures: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    extensions: frozenset[str] = frozenset()
    addresses: tuple[str, ...] = ()
    drivers: tuple[tuple[str, str, bool], ...] = ()
    config: Mapping[str, str] = {}
    environment: Mapping[str, object] = {}
    cpus: int = 0
    load: float = -1.0
    memory_total: int = 0
    memory_used: int = 0
    pools: Mapping[str, Pool] = {}
    networks: frozenset[str] = frozenset()
    projects: tuple[str, ...] = ()
    instances: int = 0
    running: int = 0
    memory_promised: int = 0  # sum of the instances' memory limits

    @property
    def usable(self) -> bool:
        """Whether calls may be sent to it now (maintenance does not matter here)."""
        return self.status in USABLE

    @property
    def shown_status(self) -> str:
        """The one word for tables: maintenance hides online and slow, never a fault."""
        return "maintenance" if self.maintenance and self.usable else str(self.status)


class Instance(msgspec.Struct, kw_only=True):
    """One container or virtual machine. `raw` is the host's own JSON object (recursion=1), location included.

    memory_limit: bytes of the expanded limits.memory, 0 = none; a percentage is of the host's memory.
    memory, cpu: live figures, -1 = unknown; cpu in percent of one CPU. seen: when the row was last read.
    search: fields.search_text keeps it here; "" = not made yet.
    """

    host: str
    project: str
    name: str
    type: str = "container"
    status: str = ""
    description: str = ""
    architecture: str = ""
    ephemeral: bool = False
    created_at: str = ""
    last_used_at: str = ""
    profiles: tuple[str, ...] = ()
    image: str = ""
    base_image: str = ""
    memory_limit: int = 0
    root_pool: str = ""
    networks: tuple[str, ...] = ()
    snapshots: int = -1
    addresses: tuple[str, ...] = ()
    memory: int = -1
    cpu: float = -1.0
    seen: float = 0.0
    search: str = ""
    raw: bytes = b""

    @property
    def key(self) -> Key:
        return Key(self.host, self.project, self.name)


class Image(msgspec.Struct, kw_only=True):
    """One image on one host. `raw` is the host's own JSON object.

    project: one that sees it. A project without images of its own has those of default, under its own name too.
    """

    host: str
    project: str
    fingerprint: str
    aliases: tuple[str, ...] = ()
    description: str = ""
    architecture: str = ""
    type: str = "container"
    size: int = 0
    public: bool = False
    cached: bool = False
    auto_update: bool = False
    uploaded_at: str = ""
    seen: float = 0.0
    raw: bytes = b""

    @property
    def key(self) -> Key:
        return Key(self.host, self.project, self.fingerprint)


class Profile(msgspec.Struct, kw_only=True):
    """One profile on one host. `raw` is the host's own JSON object. project: one that sees it, as for images."""

    host: str
    project: str
    name: str
    description: str = ""
    config: Mapping[str, str] = {}
    devices: Mapping[str, Mapping[str, str]] = {}
    used_by: int = 0
    seen: float = 0.0
    raw: bytes = b""

    @property
    def key(self) -> Key:
        return Key(self.host, self.project, self.name)


Kind = Literal["hosts", "instances", "images", "profiles"]


class ChangeSet(NamedTuple):
    """What one update changed. Keys of "hosts" are Key(name, "", "").

    figures: nothing but the live figures of instances that are the same records as before.
    """

    kind: Kind
    host: str
    changed: frozenset[Key]
    removed: frozenset[Key] = frozenset()
    figures: bool = False


Record = Instance | Image | Profile
Listener = Callable[[ChangeSet], None]


class Inventory:
    """All records of the fleet, and who wants to hear of changes.

    ``hosts`` by name; ``instances``, ``images``, ``profiles`` by host name, then by Key: a host's rows are replaced
    or dropped together without touching the others. Readers treat all of it as read-only.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, HostRecord] = {}
        self.instances: dict[str, dict[Key, Instance]] = {}
        self.images: dict[str, dict[Key, Image]] = {}
        self.profiles: dict[str, dict[Key, Profile]] = {}
        self._listeners: list[Listener] = []

    # -- reading

    def all_instances(self) -> Iterator[Instance]:
        for rows in self.instances.values():
            yield from rows.values()

    def all_images(self) -> Iterator[Image]:
        for rows in self.images.values():
            yield from rows.values()

    def all_profiles(self) -> Iterator[Profile]:
        for rows in self.profiles.values():
            yield from rows.values()

    def find_instances(self, project: str, name: str) -> list[Instance]:
        """Every instance of that name in that project: none, one, or twins on several hosts."""
        return [row for host, rows in self.instances.items() if (row := rows.get(Key(host, project, name)))]

    def is_stale(self, host: str) -> bool:
        """Whether the host's rows are last-known only: it cannot be asked now."""
        record = self.hosts.get(host)
        return record is None or not record.usable

    # -- writing (watch.py only)

    def add_host(self, record: HostRecord) -> None:
        self.hosts[record.name] = record
        self.instances.setdefault(record.name, {})
        self.images.setdefault(record.name, {})
        self.profiles.setdefault(record.name, {})
        self._tell(ChangeSet("hosts", record.name, frozenset({Key(record.name, "", "")})))

    def remove_host(self, name: str) -> None:
        """Forget a host and all its rows."""
        kinds: tuple[Kind, ...] = ("instances", "images", "profiles")
        for kind in kinds:
            table: dict[str, dict[Key, Record]] = getattr(self, kind)
            gone = frozenset(table.pop(name, {}))
            if gone:
                self._tell(ChangeSet(kind, name, frozenset(), gone))
        if self.hosts.pop(name, None) is not None:
            self._tell(ChangeSet("hosts", name, frozenset(), frozenset({Key(name, "", "")})))

    def update_host(self, name: str, **fields: object) -> None:
        """Set fields of a host's record; listeners hear of it only when one really changed."""
        record = self.hosts.get(name)
        if record is None:
            return
        changed = False
        for field, value in fields.items():
            if getattr(record, field) != value:
                setattr(record, field, value)
                changed = True
        if changed:
            self._tell(ChangeSet("hosts", name, frozenset({Key(name, "", "")})))

    def replace(self, kind: Kind, host: str, rows: Iterable[Record]) -> None:
        """A full scan's answer: these are all rows of that kind on that host."""
        table: dict[str, dict[Key, Record]] = getattr(self, kind)
        if host not in self.hosts:
            return
        old = table.get(host, {})
        new = {row.key: row for row in rows}
        changed = set()
        for key, row in new.items():
            before = old.get(key)
            _carry_live_figures(before, row)
            if before is not None and _same(before, row):
                new[key] = before  # the same record as ever, for those who hold on to it
            else:
                changed.add(key)
        removed = frozenset(old.keys() - new.keys())
        table[host] = new
        self._after(kind, host, frozenset(changed), removed)

    def put(self, kind: Kind, row: Record) -> None:
        """One object was read again."""
        table: dict[str, dict[Key, Record]] = getattr(self, kind)
        if row.host not in self.hosts:
            return
        rows = table.setdefault(row.host, {})
        old = rows.get(row.key)
        _carry_live_figures(old, row)
        same = old is not None and _same(old, row)
        if not same:
            rows[row.key] = row
        self._after(kind, row.host, frozenset() if same else frozenset({row.key}), frozenset())

    def drop(self, kind: Kind, key: Key) -> None:
        """One object is gone. Unknown keys are ignored."""
        table: dict[str, dict[Key, Record]] = getattr(self, kind)
        if table.get(key.host, {}).pop(key, None) is not None:
            self._after(kind, key.host, frozenset(), frozenset({key}))

    def update_figures(self, host: str, figures: Mapping[Key, tuple[int, float]]) -> None:
        """Live (memory bytes, cpu percent) of a host's instances, from one metrics call."""
        rows = self.instances.get(host, {})
        changed = set()
        for key, (memory, cpu) in figures.items():
            row = rows.get(key)
            if row is not None and (row.memory != memory or row.cpu != cpu):
                row.memory, row.cpu = memory, cpu
                changed.add(key)
        if changed:
            self._tell(ChangeSet("instances", host, frozenset(changed), figures=True))

    def update_addresses(self, key: Key, addresses: tuple[str, ...]) -> None:
        row = self.instances.get(key.host, {}).get(key)
        if row is not None and row.addresses != addresses:
            row.addresses, row.search = addresses, ""
            self._tell(ChangeSet("instances", key.host, frozenset({key})))

    # -- listening

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call listener after each change, in the event loop; it must be quick and must not raise. Returns undo."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _after(self, kind: Kind, host: str, changed: frozenset[Key], removed: frozenset[Key]) -> None:
        if changed or removed:
            self._tell(ChangeSet(kind, host, changed, removed))
        if kind == "instances":
            rows = self.instances[host].values()
            self.update_host(
                host,
                instances=len(rows),
                running=sum(row.status == "Running" for row in rows),
                memory_promised=sum(row.memory_limit for row in rows),
            )

    def _tell(self, change: ChangeSet) -> None:
        for listener in tuple(self._listeners):
            listener(change)


def _carry_live_figures(old: Record | None, new: Record) -> None:
    """A row read again keeps the figures that its own JSON does not carry, as long as it is the same run of it."""
    if not isinstance(old, Instance) or not isinstance(new, Instance) or new.status != "Running":
        return
    if old.status == "Running" and old.last_used_at == new.last_used_at:
        if new.memory < 0:
            new.memory, new.cpu = old.memory, old.cpu
        if not new.addresses:
            new.addresses = old.addresses


def _same(old: Record, new: Record) -> bool:
    """Equal but for the time it was read, which the old one takes over then."""
    seen, old.seen = old.seen, new.seen
    if isinstance(old, Instance):
        old.search = ""  # made again when it is asked for
    if old == new:
        return True
    old.seen = seen
    return False
