"""pylxd over HTTPS on the gateway: what is about one instance for an LXD host reached by SSH and for the Incus host."""

from __future__ import annotations

import gc
import json
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pylxd import Client, EventType, exceptions
from ws4py.client import WebSocketBaseClient
from ws4py.manager import WebSocketManager

from tests.clients.commands import Server, staying
from tests.lab import image
from tests.lab.lab import Lab

pytestmark = pytest.mark.filterwarnings(
    # pylxd leaves closing its sockets to the garbage collector, and a thread that looks at closed ones
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore:Attempted to set unknown attribute",  # what Incus says more than LXD
)

TRIES = 5


class User:
    """A pylxd client; `target`: where its instances go, None: as it comes."""

    def __init__(self, server: Server, folder: Path, target: str | None) -> None:
        (folder / "server.crt").write_text(server.certificate)
        self.trusted = str(folder / "server.crt")
        identity = (str(server.identity / "client.crt"), str(server.identity / "client.key"))
        self.client = Client(endpoint=server.address, cert=identity, verify=self.trusted)
        self.target = target
        self.folder = folder
        self.server = server

    def instance(self, name: str = "py1", **more: Any) -> Any:
        body = {"name": name, "type": "container", "source": {"type": "image", "alias": "busybox"}, **more}
        return self.client.instances.create(body, wait=True, target=self.target)


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """These variables would go before what a client is told to trust."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Threads that pylxd has left running keep Python from ending."""
    yield
    for thread in threading.enumerate():
        if isinstance(thread, WebSocketManager):
            thread.stop()
            thread.join(60)
    gc.collect()  # so that it does not happen in another test, which would be blamed


@pytest.fixture(params=["h3", "i1"])
def user(request: pytest.FixtureRequest, lab: Lab, fleet: Server, tmp_path: Path) -> Iterator[User]:
    yield User(fleet, tmp_path, request.param)
    lab.clean()


@pytest.fixture
def once(lab: Lab, fleet: Server, tmp_path: Path) -> Iterator[User]:
    """For what does not depend on the host."""
    yield User(fleet, tmp_path, None)
    lab.clean()


def execute(instance: Any, words: list[str], **more: Any) -> Any:
    """At its end pylxd writes to sockets that may be closed by then: over TLS an error, on a plain daemon too.

    The command stays a moment, as LXD may lose what it says right before its end.
    """
    for _ in range(TRIES):
        with suppress(ssl.SSLEOFError):
            return instance.execute(staying(words), **more)
    raise AssertionError("every try ended in SSLEOFError")


def test_life(user: User) -> None:
    client = user.client
    made = user.instance(config={"user.a": "b"})
    assert (made.status, made.config["user.a"]) == ("Stopped", "b")
    made.start(wait=True)
    assert client.instances.get("py1").status == "Running"
    assert made.state().status == "Running"
    made.freeze(wait=True)
    made.unfreeze(wait=True)
    made.restart(wait=True)
    made.stop(wait=True)
    made.sync(rollback=True)
    made.config["user.a"] = "c"
    made.save(wait=True)
    assert client.containers.get("py1").config["user.a"] == "c"
    made.rename("py2", wait=True)
    assert [row.name for row in client.instances.all()] == ["py2"]
    assert client.instances.exists("py2")
    with pytest.raises(exceptions.NotFound):
        client.instances.get("py1")
    with pytest.raises(exceptions.LXDAPIException):
        user.instance("py2")
    client.instances.get("py2").delete(wait=True)
    assert client.instances.all() == []


def test_exec(user: User) -> None:
    made = user.instance()
    made.start(wait=True)
    done = execute(made, ["sh", "-c", "echo out; echo err >&2; exit 42"])
    assert (done.exit_code, done.stdout, done.stderr) == (42, "out\n", "err\n")
    done = execute(made, ["cat"], stdin_payload=b"from afar")
    assert (done.exit_code, done.stdout) == (0, "from afar")
    done = execute(made, ["sh", "-c", "echo $A; pwd"], environment={"A": "b"}, cwd="/tmp")
    assert done.stdout == "b\n/tmp\n"


def test_files(user: User) -> None:
    made = user.instance()
    made.start(wait=True)
    content = os.urandom(2_000_000)
    made.files.put("/root/file", content, mode=0o640, uid=7, gid=8)
    assert made.files.get("/root/file") == content
    assert execute(made, ["stat", "-c", "%a %u %g", "/root/file"]).stdout == "640 7 8\n"
    made.files.mk_dir("/root/made", mode=0o700)
    (user.folder / "tree" / "deep").mkdir(parents=True)
    (user.folder / "tree" / "deep" / "leaf").write_text("leaf")
    made.files.recursive_put(str(user.folder / "tree"), "/root/tree")
    made.files.recursive_get("/root/tree", str(user.folder / "back"))
    assert (user.folder / "back" / "deep" / "leaf").read_text() == "leaf"
    made.files.delete("/root/file")
    with pytest.raises(exceptions.NotFound):
        made.files.get("/root/file")


def test_snapshots(user: User) -> None:
    made = user.instance()
    made.files.put("/root/file", b"before")
    taken = made.snapshots.create("s0", wait=True)
    made.files.put("/root/file", b"after")
    made.restore_snapshot("s0", wait=True)
    assert made.files.get("/root/file") == b"before"
    taken.rename("s1", wait=True)
    assert [row.name for row in made.snapshots.all()] == ["s1"]
    copied = {"name": "py2", "profiles": ["default"], "source": {"type": "copy", "source": "py1/s1"}}
    twin = user.client.instances.create(copied, wait=True)
    assert twin.files.get("/root/file") == b"before"
    published = made.snapshots.get("s1").publish(wait=True)
    assert user.client.images.get(published.fingerprint).size > 0
    published.delete(wait=True)
    made.snapshots.get("s1").delete(wait=True)
    assert made.snapshots.all() == []


def test_images(once: User) -> None:
    images = once.client.images
    path = image.build(once.folder / "new.tar.gz", description=f"pylxd {os.urandom(4).hex()}")
    made = images.create(path.read_bytes(), public=False, wait=True)
    made.add_alias("mine", "of mine")
    assert images.get_by_alias("mine").fingerprint == made.fingerprint
    assert images.exists("mine", alias=True)
    with made.export() as exported:
        assert exported.read() == path.read_bytes()
    made = images.get(made.fingerprint)
    made.public = True
    made.properties["os"] = "Mine"
    made.save(wait=True)
    found = {row.fingerprint: row for row in images.all()}[made.fingerprint]
    assert (found.public, found.properties["os"]) == (True, "Mine")
    made.delete_alias("mine")
    made.delete(wait=True)
    assert not images.exists(made.fingerprint)


def test_profiles(once: User) -> None:
    client = once.client
    made = client.profiles.create("web", config={"limits.cpu": "1"}, devices={})
    made.config["limits.cpu"] = "2"
    made.save()
    assert client.profiles.get("web").config == {"limits.cpu": "2"}
    made.rename("shop")
    assert sorted(row.name for row in client.profiles.all()) == ["default", "shop"]
    user = once.instance(profiles=["default", "shop"])
    assert user.expanded_config["limits.cpu"] == "2"
    user.delete(wait=True)
    client.profiles.get("shop").delete()
    assert not client.profiles.exists("shop")


def test_networks(once: User) -> None:
    client = once.client
    config = {"ipv4.address": "10.199.1.1/24", "ipv6.address": "none"}
    made = client.networks.create("pybr0", description="mine", type="bridge", config=config)
    made.config["ipv4.nat"] = "true"
    made.save()
    assert client.networks.get("pybr0").config["ipv4.nat"] == "true"
    assert made.state().addresses[0]["address"] == "10.199.1.1"
    made.rename("pybr1")
    assert client.networks.exists("pybr1")
    client.networks.get("pybr1").delete()
    assert "pybr1" not in [row.name for row in client.networks.all()]


def test_storage(once: User) -> None:
    pools = once.client.storage_pools
    made = pools.create({"name": "pypool", "driver": "dir", "config": {}})
    assert pools.exists("pypool")
    assert made.resources.get().space["total"] > 0
    made.description = "mine"
    made.save()
    assert pools.get("pypool").description == "mine"
    volume = made.volumes.create({"name": "v1", "type": "custom", "config": {}}, wait=True)
    volume.config["user.a"] = "b"
    volume.save(wait=True)
    assert made.volumes.get("custom", "v1").config["user.a"] == "b"
    taken = volume.snapshots.create("s0", wait=True)
    volume.restore_from("s0", wait=True)
    taken.delete(wait=True)
    assert [(row.type, row.name) for row in made.volumes.all()] == [("custom", "v1")]
    made.volumes.get("custom", "v1").delete(wait=True)
    pools.get("pypool").delete()
    assert sorted(row.name for row in pools.all()) == ["default", "fast"]


def test_projects_and_the_server(once: User) -> None:
    client = once.client
    client.projects.create("pyp", config={"features.images": "false", "features.profiles": "false"})
    assert client.projects.get("pyp").config["features.images"] == "false"
    inside = Client(endpoint=once.server.address, cert=client.cert, verify=client.api.session.verify, project="pyp")
    assert inside.instances.all() == []
    client.projects.get("pyp").delete()
    assert client.host_info["auth"] == "trusted"
    assert client.has_api_extension("instances")
    assert client.api.resources.get().json()["metadata"]["cpu"]["total"] > 0


def test_certificates(once: User, tmp_path: Path) -> None:
    from lxdpm_tui.hosts.identity import ensure_identity

    (tmp_path / "new").mkdir()
    new = ensure_identity(tmp_path / "new")
    certificates = once.client.certificates
    before = {row.fingerprint for row in certificates.all()}
    made = certificates.create("", new.cert_path.read_bytes(), name="py")
    assert made.fingerprint == new.fingerprint()
    other = Client(endpoint=once.server.address, cert=(str(new.cert_path), str(new.key_path)), verify=once.trusted)
    assert other.trusted
    certificates.get(made.fingerprint).delete()
    assert {row.fingerprint for row in certificates.all()} == before
    other = Client(endpoint=once.server.address, cert=(str(new.cert_path), str(new.key_path)), verify=once.trusted)
    assert not other.trusted
    other.authenticate(certificates.create_token(name="py2"))
    assert other.trusted


def test_operations_and_events(user: User) -> None:
    client = user.client
    made = user.instance()
    made.start(wait=True)
    heard: list[dict[str, Any]] = []
    started, deleted = threading.Event(), threading.Event()

    def listen(events: Any) -> None:
        events.connect()
        started.set()
        events.run()

    events = client.events(_hearing(heard, deleted), event_types={EventType.Operation, EventType.Lifecycle})
    listening = threading.Thread(target=listen, args=(events,), daemon=True)
    listening.start()
    assert started.wait(60)
    answer = client.api.instances["py1"].exec.post(
        json={"command": ["sleep", "60"], "wait-for-websocket": False, "interactive": False}
    )
    operation = client.operations.get(answer.json()["operation"])
    assert (operation.status, operation.description) == ("Running", "Executing command")
    execute(made, ["killall", "sleep"])
    operation.wait()
    made.stop(wait=True)
    made.delete(wait=True)
    assert deleted.wait(60)
    events.close()
    listening.join(60)
    assert not listening.is_alive()
    actions = {event["metadata"].get("action") for event in heard if event["type"] == "lifecycle"}
    assert actions >= {"instance-stopped", "instance-deleted"}
    told = {event["metadata"]["id"] for event in heard if event["type"] == "operation"}
    assert operation.id in told


def _hearing(heard: list[dict[str, Any]], deleted: threading.Event) -> type:
    class Hearing(WebSocketBaseClient):  # type: ignore[misc]  # ws4py has no types
        def handshake_ok(self) -> None:
            """pylxd's own would need its manager of sockets."""

        def received_message(self, message: Any) -> None:
            heard.append(json.loads(message.data))
            if heard[-1]["metadata"].get("action") == "instance-deleted":
                deleted.set()

    return Hearing
