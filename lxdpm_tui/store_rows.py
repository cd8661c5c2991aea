"""The store's schema and the shapes of its rows. Part of the leaf room `store`; others import them from store.py.

Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

# One entry per schema version, never edited once released: version N is reached by running entries 0..N-1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE maintenance (host TEXT PRIMARY KEY, since REAL NOT NULL)",
        "CREATE TABLE reservations (id TEXT PRIMARY KEY, host TEXT NOT NULL, project TEXT NOT NULL,"
        " instance TEXT NOT NULL, memory INTEGER NOT NULL, created REAL NOT NULL, expires REAL NOT NULL)",
        "CREATE TABLE tasks (id TEXT PRIMARY KEY, kind TEXT NOT NULL, description TEXT NOT NULL,"
        " project TEXT NOT NULL, resources TEXT NOT NULL, metadata TEXT NOT NULL, hosts TEXT NOT NULL,"
        " owner TEXT NOT NULL, status INTEGER NOT NULL, error TEXT NOT NULL, error_code INTEGER NOT NULL,"
        " created REAL NOT NULL, updated REAL NOT NULL, finish INTEGER NOT NULL, committed INTEGER NOT NULL,"
        " ended INTEGER NOT NULL)",
        "CREATE INDEX tasks_created ON tasks (created)",
        "CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, host TEXT NOT NULL, undo TEXT NOT NULL,"
        " args TEXT NOT NULL, created REAL NOT NULL, undone REAL, error TEXT NOT NULL DEFAULT '')",
        "CREATE INDEX journal_task ON journal (task)",
        "CREATE TABLE pending (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, host TEXT NOT NULL,"
        " args TEXT NOT NULL, created REAL NOT NULL, error TEXT NOT NULL DEFAULT '')",
        "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL,"
        " action TEXT NOT NULL, arguments TEXT NOT NULL, task TEXT NOT NULL, result TEXT NOT NULL)",
        "CREATE INDEX audit_task ON audit (task)",
    ),
    (
        "CREATE TABLE trust (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, certificate TEXT NOT NULL,"
        " restricted INTEGER NOT NULL, projects TEXT NOT NULL, added REAL NOT NULL)",
        "CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,"
        " restricted INTEGER NOT NULL, projects TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL)",
    ),
    (
        "ALTER TABLE trust ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE tokens ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0",
    ),
)

SECRET_WORDS = ("password", "passwd", "secret", "token", "private", "user-data", "vendor-data")
HIDDEN = "(hidden)"


class StoreError(Exception):
    """The database cannot be used; the text names the file and says why."""


class ReservationLike(Protocol):
    """What add_reservation needs to know of a reservation."""

    @property
    def id(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def instance(self) -> str: ...
    @property
    def memory(self) -> int: ...
    @property
    def created(self) -> float: ...
    @property
    def expires(self) -> float: ...


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as kept. status: LXD's code.  finish: after a crash its steps are carried out, not undone.

    committed: nothing is to be undone any more.  ended: final, nothing is left to do.
    """

    id: str
    kind: str
    description: str
    project: str = "default"
    resources: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    owner: str = ""
    status: int = 103
    error: str = ""
    error_code: int = 0
    created: float = 0.0
    updated: float = 0.0
    finish: bool = False
    committed: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One step that was going to be made. undone: when it was taken back, None = not (yet).  error: why not."""

    id: int
    task: str
    host: str
    undo: str
    args: dict[str, Any]
    created: float
    undone: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class PendingRow:
    """Work that waits for a host to come back. error: what the last try came to."""

    id: int
    kind: str
    host: str
    args: dict[str, Any]
    created: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit log: when, who, what, with what, and what came of it."""

    id: int
    at: float
    who: str
    action: str
    arguments: dict[str, Any]
    task: str
    result: str


@dataclass(frozen=True, slots=True)
class TrustRow:
    """A client certificate that is let in. fingerprint: SHA-256, hex.  certificate: PEM.

    restricted: to the projects named; else it may do everything.  read_only: it may change nothing, wherever.
    """

    fingerprint: str
    name: str
    certificate: str
    restricted: bool = False
    projects: tuple[str, ...] = ()
    added: float = 0.0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token that enrols one client. digest: SHA-256 of its secret, hex; the secret itself is kept nowhere."""

    id: str
    name: str
    digest: str
    restricted: bool
    projects: tuple[str, ...]
    created: float
    expires: float
    read_only: bool = False


def without_secrets(value: Any, name: str = "") -> Any:
    """A copy in which values under names that look secret (SECRET_WORDS) are replaced by a note."""
    if any(word in name.lower() for word in SECRET_WORDS) and value not in (None, "", [], {}):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value
