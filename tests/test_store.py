from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lxdpm_tui import store as store_module
from lxdpm_tui.scheduler.model import Reservation
from lxdpm_tui.store import Store, StoreError, TaskRow
from lxdpm_tui.store_rows import HIDDEN, without_secrets


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "state" / "manager.db")
    await store.open()
    yield store
    await store.close()


def row(id: str = "t1", **fields: object) -> TaskRow:
    return replace(TaskRow(id=id, kind="image-import", description="Importing", created=1.0), **fields)  # type: ignore[arg-type]


async def step(store: Store, task: TaskRow, host: str, undo: str, args: dict[str, object]) -> int:
    (id,) = await store.add_steps(task, [(host, undo, args)])
    return id


async def test_files_are_the_users_alone(store: Store) -> None:
    await store.set_setting("a", "b")
    for file in store.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


async def test_mode_of_an_old_file_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "manager.db"
    path.touch(0o644)
    store = Store(path)
    await store.open()
    await store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_settings_and_maintenance_outlive_it(store: Store) -> None:
    assert await store.get_setting("planner.strategy") is None
    assert await store.get_setting("planner.strategy", "random") == "random"
    await store.set_setting("planner.strategy", "scatter")
    await store.set_setting("planner.strategy", "gather")
    await store.set_maintenance("h1", True)
    since = (await store.list_maintenance())["h1"]
    await store.set_maintenance("h1", True)
    await store.set_maintenance("h2", True)
    await store.set_maintenance("h2", False)
    await store.close()
    again = Store(store.path)
    await again.open()
    assert await again.get_setting("planner.strategy") == "gather"
    assert await again.list_maintenance() == {"h1": since}
    await again.close()


async def test_reservations(store: Store) -> None:
    first = Reservation("r1", "h1", "default", "c1", 2**40, 1.5, 61.5)
    await store.add_reservation(first)
    await store.add_reservation(Reservation("r2", "h2", "default", "c2", 0, 2.0, 62.0))
    await store.remove_reservation("r2")
    await store.remove_reservation("unknown")
    assert [Reservation(**kept) for kept in await store.list_reservations()] == [first]


async def test_steps_survive_without_close(store: Store) -> None:
    await step(store, row(metadata={"fingerprint": "ab"}), "h1", "image.absent", {"fingerprint": "ab"})
    second = await step(store, row(), "h2", "image.absent", {"fingerprint": "ab"})
    await store.step_undone(second)
    # A second connection sees only what was committed: what a manager started after SIGKILL would see.
    other = Store(store.path)
    await other.open()
    assert [task.id for task in await other.open_tasks()] == ["t1"]
    steps = await other.list_steps("t1")
    assert [(s.host, s.undo, s.args, s.undone is None) for s in steps] == [
        ("h1", "image.absent", {"fingerprint": "ab"}, True),
        ("h2", "image.absent", {"fingerprint": "ab"}, False),
    ]
    await other.close()


async def test_steps_go_in_together_or_not_at_all(store: Store) -> None:
    def steps() -> Iterator[tuple[str, str, dict[str, object]]]:
        yield "h1", "x", {}
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await store.add_steps(row(), steps())
    assert await store.list_steps("t1") == []
    assert await store.get_task("t1") is None


async def test_journal_writes_are_synchronous(store: Store) -> None:
    level = await store._call(lambda: store._db.execute("PRAGMA synchronous").fetchone()[0])
    mode = await store._call(lambda: store._db.execute("PRAGMA journal_mode").fetchone()[0])
    assert (level, mode) == (2, "wal")


async def test_commit_brings_pending_work_along(store: Store) -> None:
    await store.save_task(row())
    await store.commit_task("t1", [("image", "h3", {"fingerprint": "ab"})])
    await store.save_task(row(committed=False, status=200, ended=True))
    kept = await store.get_task("t1")
    assert kept is not None
    assert kept.committed
    assert kept.ended
    assert await store.open_tasks() == []
    (pending,) = await store.list_pending("image")
    assert (pending.host, pending.args, pending.error) == ("h3", {"fingerprint": "ab"}, "")
    await store.pending_failed(pending.id, "no space")
    assert [p.error for p in await store.list_pending()] == ["no space"]
    assert await store.list_pending("other") == []
    await store.remove_pending(pending.id)
    assert await store.list_pending() == []


async def test_history_and_prune(store: Store) -> None:
    for number in range(5):
        await store.save_task(row(f"t{number}", created=float(number), ended=True))
    failed = await step(store, row("t0", created=0.0, ended=True), "h1", "x", {})
    await store.step_failed(failed, "no")
    assert [task.id for task in await store.list_tasks(2)] == ["t4", "t3"]
    await store.prune_tasks(before=3.0)
    assert [task.id for task in await store.list_tasks()] == ["t4", "t3", "t0"]  # t0's undo failed: it stays


async def test_audit_hides_secrets(store: Store) -> None:
    line = await store.append_audit("unix", "host-add", {"name": "h1", "password": "s3cret"}, "t1")
    await store.set_audit_result(line, "Success")
    await store.append_audit("console", "delete", {"instances": ["c1"]})
    newest, oldest = await store.list_audit()
    assert newest.action == "delete"
    assert (oldest.who, oldest.arguments, oldest.task, oldest.result) == (
        "unix", {"name": "h1", "password": HIDDEN}, "t1", "Success",
    )  # fmt: skip
    assert b"s3cret" not in b"".join(file.read_bytes() for file in store.path.parent.iterdir())


def test_secrets_are_found_at_any_depth() -> None:
    given = {"config": {"user.user-data": "x", "limits.cpu": "1"}, "source": [{"trust_token": "t", "secret": ""}]}
    assert without_secrets(given) == {
        "config": {"user.user-data": HIDDEN, "limits.cpu": "1"},
        "source": [{"trust_token": HIDDEN, "secret": ""}],
    }


async def test_concurrent_writers_all_land(store: Store) -> None:
    await asyncio.gather(*(step(store, row(), f"h{n}", "x", {"n": n}) for n in range(50)))
    assert sorted(s.args["n"] for s in await store.list_steps("t1")) == list(range(50))


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "manager.db"
    path.write_bytes(b"not a database at all, but long enough for a header" * 40)
    with pytest.raises(StoreError, match=r"manager\.db: .*not a usable database"):
        await Store(path).open()


async def test_a_damaged_database(store: Store) -> None:
    for number in range(200):
        await store.save_task(row(f"t{number}", description="x" * 500))
    await store.close()
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 8192))
    with pytest.raises(StoreError, match=r"manager\.db"):
        await Store(store.path).open()


async def test_a_newer_schema_is_refused(store: Store) -> None:
    await store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        await Store(store.path).open()


async def test_migrations_run_once_each(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.set_setting("a", "1")
    await store.close()
    more = (*store_module.MIGRATIONS, ("CREATE TABLE extra (x)",))
    monkeypatch.setattr(store_module, "MIGRATIONS", more)
    for _ in range(2):
        again = Store(store.path)
        await again.open()
        assert await again.get_setting("a") == "1"
        assert await again._rows("SELECT * FROM extra") == []
        await again.close()


async def test_closed_is_said(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="not open"):
        await store.get_setting("a")


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"manager\.db"):
        await Store(tmp_path / "file" / "manager.db").open()


def test_store_is_a_leaf() -> None:
    script = (
        "import sys, types; import importlib.util as u\n"
        "import lxdpm_tui.store\n"
        "print([m for m in sys.modules if m.startswith('lxdpm_tui.') and not m.startswith('lxdpm_tui.store')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
