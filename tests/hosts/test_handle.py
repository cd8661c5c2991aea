"""The pylxd.Client given to users, on real daemons."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import lxdpm_tui
from lxdpm_tui.config import HostConfig, UnixAddress, add_host
from lxdpm_tui.hosts.handle import Bridge
from lxdpm_tui.hosts.transport import IdentityChanged, Unreachable
from tests.lab.lab import Lab
from tests.lab.run import until

# pylxd leaves closing its sockets to the garbage collector, and the thread in which it reads them (ws4py's) sometimes
# fails at its end: it is told to stop, and what it polls is closed beside it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception in thread WebSocketManager:pytest.PytestUnhandledThreadExceptionWarning",
)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """So that it does not happen in another test, which would be blamed."""
    yield
    gc.collect()


def bridges() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lxdpm bridge")]


def all_ended() -> None:
    """Closing a bridge waits for its thread, but not for ever."""
    until(lambda: not bridges(), 60, "the end of all bridges")


@pytest.mark.parametrize(("name", "transport"), [("h1", "unix"), ("h1", "https"), ("h1", "ssh"), ("i1", "ssh")])
def test_a_host_by_any_transport(clean_lab: Lab, tmp_path: Path, name: str, transport: str) -> None:
    hosts = tmp_path / "hosts.toml"
    add_host(hosts, clean_lab.hosts_config({name: transport})[0])
    client = lxdpm_tui.connect(name, hosts=hosts, state=clean_lab.state_dir)
    source = {"type": "image", "alias": "busybox"}
    instance = client.instances.create({"name": "py1", "type": "container", "source": source}, wait=True)
    instance.start(wait=True)
    # It stays a moment: pylxd still answers a ping when the command may have ended, and fails then.
    done = instance.execute(["sh", "-c", "cat; sleep 3"], stdin_payload=b"from afar")
    assert (done.exit_code, done.stdout) == (0, "from afar")
    content = bytes(range(256)) * 8192
    instance.files.put("/root/file", content)
    assert instance.files.get("/root/file") == content
    assert [each.name for each in client.instances.all()] == ["py1"]
    assert len(bridges()) == (transport != "unix")
    del client, instance, done
    gc.collect()
    all_ended()


def test_an_address_will_do(lab: Lab, tmp_path: Path) -> None:
    (unix,) = lab.hosts_config({"h1": "unix"})
    client = lxdpm_tui.connect(str(unix.address), hosts=tmp_path / "none.toml", state=tmp_path)
    assert client.host_info["environment"]["server_name"] == "h1"
    hosts = tmp_path / "hosts.toml"
    add_host(hosts, lab.hosts_config({"h2": "https"})[0])
    client = lxdpm_tui.connect(
        f"https://{lab.hosts['h2'].address}", hosts=hosts, state=lab.state_dir, project="default"
    )
    assert client.host_info["environment"]["server_name"] == "h2"


def test_the_fleets_gateway_is_the_default(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="start one with `lxdpm-tui --serve`"):
        lxdpm_tui.connect(state=tmp_path)
    (tmp_path / "unix.socket").symlink_to(lab.hosts["h1"].socket)  # a daemon speaks as the gateway does
    assert lxdpm_tui.connect(state=tmp_path).trusted


def test_what_cannot_be_connected_to(lab: Lab, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.toml"
    (https,) = lab.hosts_config({"h1": "https"})
    add_host(hosts, replace(https, fingerprint="ab" * 32))
    add_host(hosts, HostConfig("dead", UnixAddress(str(tmp_path / "no.socket"))))
    with pytest.raises(LookupError, match="there is no host h9"):
        lxdpm_tui.connect("h9", hosts=hosts, state=lab.state_dir)
    with pytest.raises(IdentityChanged, match="h1: it shows the certificate"):
        lxdpm_tui.connect("h1", hosts=hosts, state=lab.state_dir)
    with pytest.raises(Unreachable, match=r"nothing answers at .*/no\.socket"):
        lxdpm_tui.connect("dead", hosts=hosts, state=lab.state_dir)
    all_ended()


def test_only_the_user_may_use_a_bridge(lab: Lab) -> None:
    (config,) = lab.hosts_config({"h1": "ssh"})
    bridge = Bridge(config, None)
    directory = bridge.path.parent
    assert directory.stat().st_mode & 0o777 == 0o700
    bridge.close()
    assert not directory.exists()
    bridge.close()
