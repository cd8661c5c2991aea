"""What users do with one instance. Each case runs for several hosts at once, so it names things by `c.n`.

A case makes what it needs, and removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from tests.clients.commands import Commands


@contextmanager
def instance(c: Commands, *words: str) -> Iterator[str]:
    """A running instance."""
    name = c.n("c1")
    c.launch(name, *words)
    yield name
    c("delete", "--force", name)


@contextmanager
def stopped(c: Commands, *words: str) -> Iterator[str]:
    """A stopped one: quicker."""
    name = c.n("c1")
    c("init", "busybox", name, *c.here, *words)
    yield name
    c("delete", name)


def life(c: Commands) -> None:
    name = c.n("c1")
    c("init", "busybox", name, *c.here, "-c", "user.role=web", "-d", "root,size=100MiB", has=f"Creating {name}")
    c("start", name)
    c("info", name, has="Status: RUNNING")
    c("pause", name)
    c("list", name, "-f", "csv", "-c", "ns", has=f"{name},FROZEN")
    c("start", name)
    c("restart", "--force", name)
    c("stop", "--force", name)
    c("list", name, "-f", "csv", "-c", "ns", has=f"{name},STOPPED")
    c("start", name)
    c("start", name, code=1, has="already running")
    c("delete", name, code=1, has="running")
    c("delete", "--force", name)
    c("info", name, code=1, has="not found")


def launch(c: Commands) -> None:
    name = c.n("c1")
    text = c("launch", "busybox", name, *c.here, "-c", "limits.memory=64MiB", "-p", "default", "-e")
    c.check(name in text, text)
    shown = yaml.safe_load(c("config", "show", name))
    c.check((shown["ephemeral"], shown["config"]["limits.memory"]) == (True, "64MiB"), shown)
    c("launch", "busybox", name, *c.here, code=1)
    c("launch", "busybox", c.n("c2"), *c.here, "-c", "no.such.key=1", code=1, has="no.such.key")
    c("launch", "busybox", c.n("c2"), *c.here, "-p", "nothing", code=1, has="not")
    c("launch", "nothing", c.n("c2"), *c.here, code=1, has="not found")
    c("stop", "--force", name)  # which is the end of an ephemeral one
    c("info", name, code=1, has="not found")


def lists(c: Commands) -> None:
    with instance(c, "-c", f"user.role={c.n('web')}") as name:
        other = c.n("c2")
        c("init", "busybox", other, *c.here)
        c("list", f"user.role={c.n('web')}", "-f", "csv", "-c", "nst", has=f"{name},RUNNING,CONTAINER\n")
        rows = c.json("list", f"^{c.n('c[0-9]')}$")
        c.check(sorted(row["name"] for row in rows) == [name, other], rows)
        found = {row["name"]: row["status"] for row in c.json("list", "status=stopped")}
        c.check(other in found and name not in found, found)
        names = c("list", name, "-f", "csv", "-c", "n,user.role,limits.memory:MEM,S,p,P,N,4,d,l,m,f").strip()
        c.check(names.startswith(f"{name},{c.n('web')},"), names)
        c.check(name in c("list", "--fast", name), "--fast")
        c.check(name in c("list", name, "-f", "yaml"), "yaml")
        table = c("list", name, "-f", "table", "-c", "n")
        c.check(["|", name, "|"] in [line.split() for line in table.splitlines()], table)
        c.check(name in c("list", "--all-projects", "-f", "csv", "-c", "en"), "--all-projects")
        (row,) = c.rows(name)
        c.check(row["state"]["status"] == "Running" and row["expanded_devices"]["root"]["pool"] == "default", row)
        c("delete", other)


def execute(c: Commands) -> None:
    with instance(c) as name:
        c.check(c("exec", name, "--", "hostname") == f"{name}\n")
        done = c.run("exec", name, "--", "sh", "-c", "echo out; echo err >&2; exit 42", code=42)
        c.check((done.out, done.err) == ("out\n", "err\n"), done)
        data = os.urandom(300_000)
        c.check(c.run("exec", name, "--", "cat", stdin=data).raw == data)
        c.check(c("exec", name, "--", "wc", "-c", stdin=data).strip() == "300000")
        c.run("exec", name, "--", "nothing-of-the-kind", code=127)
        c.run("exec", name, "--", "sh", "-c", "kill -9 $$", code=137)
        text = c("exec", name, "--env", "A=b c", "--cwd", "/tmp", "--", "sh", "-c", "echo $A; pwd")
        c.check(text == "b c\n/tmp\n", text)
        c.check(c("exec", name, "--user", "65534", "--", "id", "-u") == "65534\n")
        c.check(c("exec", name, "-T", "-n", "--", "cat") == "")
        big = c.run("exec", name, "--", "sh", "-c", "yes 0123456789 | head -c 3000000")
        c.check(len(big.raw) == 3_000_000, len(big.raw))
        c("exec", c.n("nothing"), "--", "true", code=1, has="not found")


def execute_on_a_terminal(c: Commands) -> None:
    """The command ends only when its output was seen: LXD 5.0.2 itself loses what comes right before the end."""
    with instance(c) as name:
        shown = c.typed(
            "exec", name, "-t", "--", "sh", "-c", 'tty; echo go; read line; echo "<$line>"; read end; exit 3',
            keys=(("go", "hello\n"), ("<hello>", "\n")), code=3,
        )  # fmt: skip
        c.check("/dev/pts/" in shown, shown)
        shown = c.typed("exec", name, "--", "sh", keys=(("# ", "exit 5\n"),), code=5)


def files(c: Commands) -> None:
    source, back = c.folder / "tree", c.folder / "back"
    (source / "below" / "deep").mkdir(parents=True)
    (source / "one").write_bytes(os.urandom(100_000))
    (source / "below" / "deep" / "two words").write_text("two")
    (source / "below" / "link").symlink_to("deep")
    back.mkdir()
    with instance(c) as name:
        c("file", "push", str(source / "one"), f"{name}/root/", "--mode", "0640", "--uid", "7", "--gid", "8")
        text = c("exec", name, "--", "stat", "-c", "%a %u %g", "/root/one")
        c.check(text == "640 7 8\n", text)
        c("file", "push", "-r", "-p", str(source), f"{name}/root/new/dir/")
        c("file", "pull", "-r", f"{name}/root/new/dir/tree", str(back))
        for path in ("one", "below/deep/two words"):
            c.check((back / "tree" / path).read_bytes() == (source / path).read_bytes(), path)
        c.check((back / "tree" / "below" / "link").is_symlink(), "link")
        c.check(c("file", "pull", f"{name}/root/new/dir/tree/below/deep/two words", "-") == "two")
        c("file", "push", "-", f"{name}/root/typed", stdin="typed\n")
        c("file", "edit", f"{name}/root/typed", stdin="edited\n")
        c.check(c("file", "pull", f"{name}/root/typed", "-") == "edited\n")
        c("file", "delete", f"{name}/root/one", f"{name}/root/typed")
        c("file", "pull", f"{name}/root/one", "-", code=1)
        c.check(c("exec", name, "--", "ls", "/root") == "new\n")
    with stopped(c) as name:
        c("file", "push", str(source / "one"), f"{name}/root/one")
        c.check(c.run("file", "pull", f"{name}/root/one", "-").raw == (source / "one").read_bytes())


def configure(c: Commands) -> None:
    with stopped(c) as name:
        c("config", "set", name, "limits.memory", "64MiB")
        c("config", "set", name, "limits.cpu=1", "user.a=b c")
        c.check(c("config", "get", name, "limits.memory") == "64MiB\n")
        c.check(c("config", "get", name, "user.a") == "b c\n")
        c("config", "set", name, "no.such.key=1", code=1, has="no.such.key")
        c("config", "unset", name, "limits.memory")
        c.check(c("config", "get", name, "limits.memory") == "\n")
        shown = yaml.safe_load(c("config", "show", name))
        shown["config"]["user.a"] = "edited"
        c("config", "edit", name, stdin=yaml.safe_dump(shown))
        c("config", "show", name, has="user.a: edited")
        c("config", "show", name, "--expanded", has="type: nic")


def devices(c: Commands) -> None:
    with stopped(c) as name:
        c("config", "device", "add", name, "tmp", "disk", "source=/tmp", "path=/mnt")
        c("config", "device", "set", name, "tmp", "readonly", "true")
        c.check(c("config", "device", "get", name, "tmp", "readonly") == "true\n")
        c("config", "device", "unset", name, "tmp", "readonly")
        c("config", "device", "override", name, "root", "size=50MiB")
        c("config", "device", "list", name, has="tmp")
        shown = yaml.safe_load(c("config", "device", "show", name))
        c.check(shown == {
            "tmp": {"type": "disk", "source": "/tmp", "path": "/mnt"},
            "root": {"type": "disk", "path": "/", "pool": "default", "size": "50MiB"},
        }, shown)  # fmt: skip
        c("config", "device", "remove", name, "tmp")
        c("config", "device", "add", name, "bad", "nothing", code=1)


def templates(c: Commands) -> None:
    with stopped(c) as name:
        metadata = c("config", "metadata", "show", name, has="busybox")
        c("config", "metadata", "edit", name, stdin=metadata.replace("release: lab", "release: edited"))
        c("config", "metadata", "show", name, has="release: edited")
        c("config", "template", "create", name, "motd.tpl")
        c("config", "template", "edit", name, "motd.tpl", stdin="hello {{ container.name }}\n")
        c("config", "template", "list", name, has="motd.tpl")
        c("config", "template", "show", name, "motd.tpl", has="hello {{")
        c("config", "template", "delete", name, "motd.tpl")
        c.check("motd.tpl" not in c("config", "template", "list", name))


def snapshots(c: Commands) -> None:
    with instance(c) as name:
        c("exec", name, "--", "touch", "/root/before")
        c.snapshot(name, "s0")
        c("exec", name, "--", "touch", "/root/after")
        c("stop", "--force", name)
        c.restore(name, "s0")
        c("start", name)
        c.check(c("exec", name, "--", "ls", "/root") == "before\n")
        c.rename_snapshot(name, "s0", "first")
        c("info", name, has="first")
        c("config", "show", f"{name}/first", has="architecture")
        c.snapshot(name, "second")
        (row,) = c.rows(f"^{name}$")
        c.check(sorted(s["name"] for s in row["snapshots"]) == ["first", "second"], row["snapshots"])
        c("copy", f"{name}/first", c.n("c3"))
        c("start", c.n("c3"))
        c.check(c("exec", c.n("c3"), "--", "ls", "/root") == "before\n")
        c("delete", "--force", c.n("c3"))
        c.delete_snapshot(name, "second")
        c.delete_snapshot(name, "first")
        (row,) = c.rows(f"^{name}$")
        c.check(not row["snapshots"], row["snapshots"])


def copy_and_rename(c: Commands) -> None:
    name, twin, third = c.n("c1"), c.n("c2"), c.n("c3")
    c("init", "busybox", name, *c.here, "-c", "user.a=b")
    c.snapshot(name, "s0")
    c("copy", name, twin, "-c", "user.c=d")
    (row,) = c.rows(f"^{twin}$")
    c.check((row["config"]["user.a"], row["config"]["user.c"]) == ("b", "d"), row)
    c.check([s["name"] for s in row["snapshots"]] == ["s0"], row)
    c("copy", name, third, "--instance-only")
    c("copy", name, third, "--refresh")
    c("copy", name, twin, code=1)
    c("delete", third)
    c("rename", twin, third)
    c("move", third, twin)
    c("rename", twin, name, code=1, has="already")
    c("start", twin)
    c("rename", twin, third, code=1, has="running")
    c("delete", "--force", name, twin)


def publish(c: Commands) -> None:
    with stopped(c) as name:
        c.snapshot(name, "s0")
        c("publish", f"{name}/s0", "--alias", c.n("from-snapshot"), "os=Mine", has="fingerprint")
        c("publish", name, "--alias", c.n("from-instance"), "--public", "--compression", "none", has="fingerprint")
        (row,) = c.json("image", "list", c.n("from-instance"))
        c.check(row["public"] is True, row)
        c("init", c.n("from-instance"), c.n("c2"), *c.here)
        c("delete", c.n("c2"))
        c("image", "info", c.n("from-snapshot"), has="os: Mine")
        c("image", "delete", c.n("from-snapshot"), c.n("from-instance"))


def backups(c: Commands) -> None:
    with stopped(c, "-c", "user.a=b") as name:
        c.snapshot(name, "s0")
        c("export", name, str(c.folder / "all.tar.gz"))
        c("export", name, str(c.folder / "only.tar.gz"), "--instance-only")
        c.check((c.folder / "all.tar.gz").stat().st_size > 100_000)
        c("import", str(c.folder / "all.tar.gz"), code=1, has="already exists")
        c("import", str(c.folder / "only.tar.gz"), c.n("c2"))
        c("config", "show", c.n("c2"), has="user.a: b")
        c("delete", c.n("c2"))
    c("import", str(c.folder / "all.tar.gz"))
    (row,) = c.rows(f"^{name}$")
    c.check([s["name"] for s in row["snapshots"]] == ["s0"], row)
    c("start", name)
    c("delete", "--force", name)


def console(c: Commands) -> None:
    with instance(c) as name:
        c("exec", name, "--", "sh", "-c", "echo to the console > /dev/console; sleep 2")
        c("console", name, "--show-log", has="to the console")
        c("info", name, "--show-log", has="Log:")
        shown = c.typed("console", name, keys=(("To detach", "\x01"),), last="q")  # it looks at the first byte it reads
        c.check("<ctrl>+a q" in shown, shown)


def monitor(c: Commands) -> None:
    """Events before it listens are not told: the instance is changed until one is heard."""
    with (
        instance(c) as name,
        c.reading("monitor", "--type", "lifecycle", "--format", "json") as lines,
        c.again("config", "set", name, "user.n=1"),
    ):
        heard = next((line for line in lines if "instance-updated" in line and name in line), "")
        c.check(json.loads(heard or "{}").get("metadata", {}).get("action") == "instance-updated", heard)


def operations(c: Commands) -> None:
    with instance(c) as name:
        path = f"/1.0/instances/{name}/exec"
        body = '{"command": ["sleep", "60"], "wait-for-websocket": false, "interactive": false}'
        made = c.query(path, "-X", "POST", "-d", body)
        rows = {row["id"]: row for row in c.json("operation", "list")}
        c.check(rows[made["id"]]["status"] == "Running", rows)
        c("operation", "show", made["id"], has="status: Running")
        with c.again("exec", name, "--", "killall", "sleep"):  # it says Running before the command was started
            ended = c.query(f"/1.0/operations/{made['id']}/wait?timeout=50")
        c.check(ended["status_code"] == 200 and ended["metadata"]["return"] in (137, 143), ended)


def queries(c: Commands) -> None:
    with stopped(c) as name:
        c.check(f"/1.0/instances/{name}" in c.query("/1.0/instances"))
        found = c.query(f"/1.0/instances/{name}")
        c.check(found["name"] == name, found)
        c.query(f"/1.0/instances/{name}/state", "--wait", "-X", "PUT", "-d", '{"action": "start"}')
        c.check(c.query(f"/1.0/instances/{name}/state")["status"] == "Running")
        c.query(f"/1.0/instances/{name}/state", "--wait", "-X", "PUT", "-d", '{"action": "stop", "force": true}')
        c("query", "-X", "PATCH", "-d", '{"config": {"user.q": "1"}}', f"/1.0/instances/{name}")
        c.check(c.query(f"/1.0/instances/{name}?recursion=1")["config"]["user.q"] == "1")
        c("query", f"/1.0/instances/{c.n('nothing')}", code=1, has="not found")
        c("query", "--raw", f"/1.0/instances/{name}", has='"status_code": 200')


CASES = (
    life, launch, lists, execute, execute_on_a_terminal, files, configure, devices, templates, snapshots,
    copy_and_rename, publish, backups, console, monitor, operations, queries,
)  # fmt: skip
