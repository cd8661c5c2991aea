"""What must outlive the manager: settings, maintenance, reservations, tasks with their journal, pending work, audit.

SQLite on one worker thread, write-ahead log, every commit on the disk before the call returns. The methods of Store
are all that the rest knows of it, so that another database can take its place. It imports no other room.
Times are seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lxdpm_tui.store_rows import (
    MIGRATIONS,
    AuditRow,
    JournalRow,
    PendingRow,
    ReservationLike,
    StoreError,
    TaskRow,
    TokenRow,
    TrustRow,
    without_secrets,
)

__all__ = [
    "AuditRow",
    "JournalRow",
    "PendingRow",
    "ReservationLike",
    "Store",
    "StoreError",
    "TaskRow",
    "TokenRow",
    "TrustRow",
]

T = TypeVar("T")


class Store:
    """The manager's database. All methods may raise StoreError; open() first, close() last."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._worker: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Make the file (mode 0600) and its directory if need be, and bring the schema up to date."""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            await self._call(self._open)
        except BaseException:
            self._worker.shutdown()
            self._worker = None
            raise

    async def close(self) -> None:
        """Wait for what was begun and let go of the file. Idempotent."""
        if self._worker is None:
            return
        worker, self._worker = self._worker, None
        await asyncio.get_running_loop().run_in_executor(worker, self._close)
        worker.shutdown()

    # -- settings and maintenance

    async def get_setting(self, key: str, default: str | None = None) -> str | None:
        rows = await self._rows("SELECT value FROM settings WHERE key = ?", key)
        return str(rows[0]["value"]) if rows else default

    async def set_setting(self, key: str, value: str) -> None:
        await self._write(
            "INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
        )

    async def set_maintenance(self, host: str, on: bool) -> None:
        """Setting it twice keeps the first time."""
        if on:
            await self._write("INSERT OR IGNORE INTO maintenance VALUES (?, ?)", host, time.time())
        else:
            await self._write("DELETE FROM maintenance WHERE host = ?", host)

    async def list_maintenance(self) -> dict[str, float]:
        """Host name -> since when."""
        return {row["host"]: row["since"] for row in await self._rows("SELECT host, since FROM maintenance")}

    # -- reservations

    async def add_reservation(self, reservation: ReservationLike) -> None:
        r = reservation
        await self._write(
            "INSERT OR REPLACE INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)",
            r.id, r.host, r.project, r.instance, r.memory, r.created, r.expires,
        )  # fmt: skip

    async def remove_reservation(self, id: str) -> None:
        """An unknown one is nothing to complain of."""
        await self._write("DELETE FROM reservations WHERE id = ?", id)

    async def list_reservations(self) -> list[dict[str, Any]]:
        """Dicts with id, host, project, instance, memory (bytes), created, expires; expired ones too."""
        return [dict(row) for row in await self._rows("SELECT * FROM reservations ORDER BY created")]

    # -- tasks and their journal

    async def save_task(self, row: TaskRow) -> None:
        """Insert it, or replace all but `committed`, which only commit() sets."""
        await self._call(lambda: self._save_task(row))

    async def get_task(self, id: str) -> TaskRow | None:
        rows = await self._rows("SELECT * FROM tasks WHERE id = ?", id)
        return _task_row(rows[0]) if rows else None

    async def list_tasks(self, limit: int = 100) -> list[TaskRow]:
        """The newest first."""
        return [_task_row(r) for r in await self._rows("SELECT * FROM tasks ORDER BY created DESC LIMIT ?", limit)]

    async def open_tasks(self) -> list[TaskRow]:
        """Those that had not ended when last heard of, the oldest first."""
        return [_task_row(r) for r in await self._rows("SELECT * FROM tasks WHERE NOT ended ORDER BY created")]

    async def prune_tasks(self, before: float) -> None:
        """Forget ended tasks made before that time, but for those whose undo failed: somebody has to look at them."""
        await self._write(
            "DELETE FROM tasks WHERE ended AND created < ? AND id NOT IN"
            " (SELECT task FROM journal WHERE undone IS NULL AND error != '')",
            before,
        )

    async def add_steps(self, row: TaskRow, steps: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[int]:
        """Enter steps (host, undo, args) into the task's journal, all or none, and the task as it is now.

        They are on the disk when this returns. Gives their ids.
        """

        def work() -> list[int]:
            with self._transaction() as db:
                self._upsert_task(db, row)
                return [
                    int(
                        db.execute(
                            "INSERT INTO journal (task, host, undo, args, created) VALUES (?, ?, ?, ?, ?)",
                            (row.id, host, undo, _dump(args), time.time()),
                        ).lastrowid
                        or 0
                    )
                    for host, undo, args in steps
                ]

        return await self._call(work)

    async def list_steps(self, task: str) -> list[JournalRow]:
        """In the order in which they were entered."""
        rows = await self._rows("SELECT * FROM journal WHERE task = ? ORDER BY id", task)
        return [JournalRow(**{**dict(r), "args": json.loads(r["args"])}) for r in rows]

    async def step_undone(self, id: int) -> None:
        await self._write("UPDATE journal SET undone = ?, error = '' WHERE id = ?", time.time(), id)

    async def step_failed(self, id: int, error: str) -> None:
        """Its undo did not work; kept until somebody deals with it."""
        await self._write("UPDATE journal SET error = ? WHERE id = ?", error, id)

    async def commit_task(self, id: str, pending: Iterable[tuple[str, str, Mapping[str, Any]]] = ()) -> None:
        """Its steps stay. pending: (kind, host, args) of work left for later, entered in the same breath."""

        def work() -> None:
            with self._transaction() as db:
                db.execute("UPDATE tasks SET committed = 1 WHERE id = ?", (id,))
                db.executemany(
                    "INSERT INTO pending (kind, host, args, created) VALUES (?, ?, ?, ?)",
                    [(kind, host, _dump(args), time.time()) for kind, host, args in pending],
                )

        await self._call(work)

    # -- pending work

    async def list_pending(self, kind: str | None = None) -> list[PendingRow]:
        """The oldest first; of one kind, or all."""
        rows = await self._rows("SELECT * FROM pending WHERE ? IS NULL OR kind = ? ORDER BY id", kind, kind)
        return [PendingRow(**{**dict(r), "args": json.loads(r["args"])}) for r in rows]

    async def remove_pending(self, *ids: int) -> None:
        await self._write_many("DELETE FROM pending WHERE id = ?", [(id,) for id in ids])

    async def pending_failed(self, id: int, error: str) -> None:
        await self._write("UPDATE pending SET error = ? WHERE id = ?", error, id)

    # -- trust

    async def add_trusted(self, row: TrustRow) -> bool:
        """False when that certificate is let in already; then nothing changes."""

        def work() -> bool:
            with self._transaction() as db:
                cursor = db.execute(
                    "INSERT OR IGNORE INTO trust VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        row.fingerprint, row.name, row.certificate, row.restricted, _dump(row.projects), row.added,
                        row.read_only,
                    ),
                )  # fmt: skip
                return cursor.rowcount == 1

        return await self._call(work)

    async def update_trusted(self, row: TrustRow) -> None:
        """All but its certificate and when it was let in."""
        await self._write(
            "UPDATE trust SET name = ?, restricted = ?, projects = ?, read_only = ? WHERE fingerprint = ?",
            row.name, row.restricted, _dump(list(row.projects)), row.read_only, row.fingerprint,
        )  # fmt: skip

    async def remove_trusted(self, fingerprint: str) -> None:
        await self._write("DELETE FROM trust WHERE fingerprint = ?", fingerprint)

    async def list_trusted(self) -> list[TrustRow]:
        """In the order in which they were let in."""
        return [_trust_row(TrustRow, r) for r in await self._rows("SELECT * FROM trust ORDER BY added")]

    async def add_token(self, row: TokenRow) -> None:
        await self._write(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row.id, row.name, row.digest, row.restricted, _dump(row.projects), row.created, row.expires, row.read_only,
        )  # fmt: skip

    async def take_token(self, digest: str, now: float) -> TokenRow | None:
        """Use it up: it is gone when this returns. None when there is none, or it has expired."""

        def work() -> TokenRow | None:
            with self._transaction() as db:
                found = db.execute("SELECT * FROM tokens WHERE digest = ? AND expires > ?", (digest, now)).fetchone()
                db.execute("DELETE FROM tokens WHERE digest = ? OR expires <= ?", (digest, now))
                return _trust_row(TokenRow, found) if found else None

        return await self._call(work)

    async def remove_token(self, id: str) -> None:
        await self._write("DELETE FROM tokens WHERE id = ?", id)

    async def list_tokens(self, now: float) -> list[TokenRow]:
        """Those that can still be used, the oldest first."""
        rows = await self._rows("SELECT * FROM tokens WHERE expires > ? ORDER BY created", now)
        return [_trust_row(TokenRow, r) for r in rows]

    # -- audit

    async def append_audit(
        self, who: str, action: str, arguments: Mapping[str, Any], task: str = "", result: str = ""
    ) -> int:
        """Add a line; values under names that look secret are hidden. Gives the line's id for set_audit_result."""

        def work() -> int:
            with self._transaction() as db:
                cursor = db.execute(
                    "INSERT INTO audit (at, who, action, arguments, task, result) VALUES (?, ?, ?, ?, ?, ?)",
                    (time.time(), who, action, _dump(without_secrets(arguments)), task, result),
                )
                return int(cursor.lastrowid or 0)

        return await self._call(work)

    async def set_audit_result(self, id: int, result: str) -> None:
        await self._write("UPDATE audit SET result = ? WHERE id = ?", result, id)

    async def list_audit(self, limit: int = 100) -> list[AuditRow]:
        """The newest first."""
        rows = await self._rows("SELECT * FROM audit ORDER BY id DESC LIMIT ?", limit)
        return [AuditRow(**{**dict(r), "arguments": json.loads(r["arguments"])}) for r in rows]

    # -- on the worker thread

    async def _call(self, work: Callable[[], T]) -> T:
        if self._worker is None:
            raise StoreError(f"{self.path}: the store is not open")

        def guarded() -> T:
            try:
                return work()
            except (sqlite3.Error, OSError) as error:
                raise StoreError(f"{self.path}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._worker, guarded)

    async def _rows(self, sql: str, *values: object) -> Sequence[sqlite3.Row]:
        return await self._call(lambda: self._db.execute(sql, values).fetchall())

    async def _write(self, sql: str, *values: object) -> None:
        await self._write_many(sql, [values])

    async def _write_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        def work() -> None:
            with self._transaction() as db:
                db.executemany(sql, rows)

        await self._call(work)

    @property
    def _db(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the store is not open")
        return self._database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Before SQLite sees it: a file that SQLite makes has the umask's mode, and -wal and -shm follow this one's.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.path.chmod(0o600)
        db = sqlite3.connect(self.path, isolation_level=None, timeout=5.0)
        try:
            db.row_factory = sqlite3.Row
            self._check(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            self._database = db
            self._migrate(db)
        except BaseException:
            self._database = None
            db.close()
            raise

    def _check(self, db: sqlite3.Connection) -> None:
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path}: this is not a usable database ({error}); move it away or restore it"
            ) from error
        if found != "ok":
            raise StoreError(f"{self.path}: the database is damaged ({found}); move it away or restore it")
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self.path}: made by a newer lxdpm-tui (schema {version}, this one knows {len(MIGRATIONS)})"
            )

    def _migrate(self, db: sqlite3.Connection) -> None:
        with self._transaction():
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _save_task(self, row: TaskRow) -> None:
        with self._transaction() as db:
            self._upsert_task(db, row)

    def _upsert_task(self, db: sqlite3.Connection, row: TaskRow) -> None:
        db.execute(
            "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " description = excluded.description, resources = excluded.resources, metadata = excluded.metadata,"
            " hosts = excluded.hosts, status = excluded.status, error = excluded.error,"
            " error_code = excluded.error_code, updated = excluded.updated, finish = excluded.finish,"
            " ended = excluded.ended",
            (
                row.id, row.kind, row.description, row.project, _dump(row.resources), _dump(row.metadata),
                _dump(row.hosts), row.owner, row.status, row.error, row.error_code, row.created, row.updated,
                row.finish, row.committed, row.ended,
            ),
        )  # fmt: skip


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def _task_row(row: sqlite3.Row) -> TaskRow:
    values = dict(row)
    for name in ("resources", "metadata", "hosts"):
        values[name] = json.loads(values[name])
    for name in ("finish", "committed", "ended"):
        values[name] = bool(values[name])
    return TaskRow(**values)


R = TypeVar("R", TrustRow, TokenRow)


def _trust_row(kind: type[R], row: sqlite3.Row) -> R:
    flags = {name: bool(row[name]) for name in ("restricted", "read_only")}
    fields = {**dict(row), **flags, "projects": tuple(json.loads(row["projects"]))}
    return kind(**fields)
