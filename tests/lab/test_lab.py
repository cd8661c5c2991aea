"""The lab does what it says: hosts that answer by three transports, faults that bite and heal, and nothing left."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import clients
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.layout import LabError, Layout
from tests.lab.rest import RestError, call, envelope
from tests.lab.run import run, until

HOSTS = ["h1", "h2", "h3", "i1"]
SILENCE = 0.3  # seconds without an answer that count as none
PATIENCE = 30.0  # seconds in which an answer that is due has to come


def https(host: LabHost, lab: Lab, method: str = "GET", path: str = "/1.0", body: object = None) -> dict[str, Any]:
    """A request over HTTPS with the lab's client certificate and the host's pinned one."""
    context = ssl.create_default_context(cadata=host.certificate)
    context.check_hostname = False
    context.load_cert_chain(lab.client_cert, lab.client_key)
    connection = http.client.HTTPSConnection(host.address, 8443, timeout=PATIENCE, context=context)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer


def tcp_connects(host: LabHost, port: int, timeout: float = PATIENCE) -> bool:
    try:
        socket.create_connection((host.address, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def ask(host: LabHost, timeout: float = PATIENCE) -> Any:
    return host.api("GET", "/1.0", timeout=timeout)


# -- what is up


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_answers_by_all_transports(lab: Lab, name: str) -> None:
    host = lab.hosts[name]
    assert host.api("GET", "/1.0")["environment"]["server_name"] == name
    over_https = https(host, lab)["metadata"]
    assert over_https["auth"] == "trusted"
    assert over_https["environment"]["certificate_fingerprint"] == host.fingerprint
    ssh = ("ssh", "-F", lab.base / "ssh" / "config", name)
    assert '"/1.0/images/aliases/busybox"' in run(*ssh, host.kind.client, "query", "/1.0/images/aliases")
    assert json.loads(host.cli("list", "--format=json")) == []
    assert host.run("/bin/hostname").strip() == name
    assert host.status() | {"pid": 0, "rss_mb": 0, "version": ""} == {
        "name": name,
        "kind": "incus" if name == "i1" else "lxd",
        "address": host.address,
        "socket": str(host.socket),
        "power": "on",
        "daemon": "ok",
        "link": "up",
        "pid": 0,
        "rss_mb": 0,
        "version": "",
        "instances": 0,
        "pools": ["default", "fast"],
    }


@pytest.mark.parametrize(("client", "variable"), [("lxc", "LXD_CONF"), ("incus", "INCUS_CONF")])
def test_stock_clients_know_every_host(lab: Lab, client: str, variable: str) -> None:
    environment = {**os.environ, variable: lab.env()[variable]}
    for name in HOSTS:
        assert "busybox" in run(client, "image", "list", f"{name}:", "--format=csv", env=environment)


def test_hosts_toml_is_what_the_product_reads(lab: Lab) -> None:
    from lxdpm_tui.config import load_hosts

    loaded = load_hosts(lab.hosts_file)
    assert loaded == lab.hosts_config()
    assert [host.address.scheme for host in loaded] == ["unix", "https", "ssh", "https"]
    [ssh] = lab.hosts_config({"i1": "ssh"})
    assert str(ssh.address) == f"ssh://root@{lab.hosts['i1'].address}"
    with pytest.raises(LabError, match="unix, https or ssh"):
        clients.entries(lab.layout, lab.hosts, {"h1": "pigeon"})


@pytest.mark.parametrize("name", ["h1", "i1"])
def test_a_container_runs_with_an_address(clean_lab: Lab, name: str) -> None:
    host = clean_lab.hosts[name]
    host.cli("launch", "busybox", "c1")
    assert host.cli("exec", "c1", "--", "uname", "-n").strip() == "c1"
    found: list[str] = []

    def known() -> bool:
        network = host.api("GET", "/1.0/instances/c1/state")["network"] or {}
        addresses = network.get("eth0", {}).get("addresses") or []
        found[:] = [each["address"] for each in addresses if each["family"] == "inet"]
        return bool(found)

    until(known, 60, "an address by DHCP")
    assert found[0].startswith(f"10.{200 + clean_lab.layout.number}.{host.octet}.")


def test_another_image_has_another_fingerprint(lab: Lab) -> None:
    other = lab.make_image("other", extra=b"x" * 1000)
    host = lab.hosts["h1"]
    assert other.read_bytes() != lab.image.read_bytes()
    assert [each["fingerprint"] for each in host.api("GET", "/1.0/images?recursion=1")] == [lab.image_fingerprint]


@pytest.mark.parametrize(("name", "field"), [("h1", "password"), ("i1", "trust_token")])
def test_a_token_pairs_once(clean_lab: Lab, tmp_path: Path, name: str, field: str) -> None:
    host = clean_lab.hosts[name]
    token = host.token()
    statuses = []
    for stranger in ("one", "other"):
        key, certificate = tmp_path / f"{stranger}.key", tmp_path / f"{stranger}.crt"
        run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-nodes",
            "-days", "2", "-keyout", key, "-out", certificate, "-subj", f"/CN={stranger}",
        )  # fmt: skip
        context = ssl.create_default_context(cadata=host.certificate)
        context.check_hostname = False
        context.load_cert_chain(certificate, key)
        connection = http.client.HTTPSConnection(host.address, 8443, timeout=PATIENCE, context=context)
        connection.request("POST", "/1.0/certificates", json.dumps({"type": "client", "name": stranger, field: token}))
        statuses.append(connection.getresponse().status)
        connection.close()
    assert statuses == [201, 403]


# -- faults


def test_hung(clean_lab: Lab) -> None:
    host = clean_lab.hosts["h2"]
    with host.hung():
        assert tcp_connects(host, 8443)
        with pytest.raises(TimeoutError):
            ask(host, SILENCE)
        assert host.status(timeout=5)["daemon"] == "hung"
    ask(host)


def test_killed(clean_lab: Lab) -> None:
    host = clean_lab.hosts["h2"]
    with host.killed():
        with pytest.raises(ConnectionRefusedError):
            ask(host)
        assert tcp_connects(host, 22)
        assert host.status()["daemon"] == "down"
        with pytest.raises(LabError, match="h2: no daemon runs"):
            host.kill()
    ask(host)


def test_frozen(clean_lab: Lab) -> None:
    host = clean_lab.hosts["i1"]
    with host.frozen():
        assert tcp_connects(host, 22)
        with pytest.raises(TimeoutError):
            ask(host, SILENCE)
    ask(host)


def test_cut_off(clean_lab: Lab) -> None:
    host = clean_lab.hosts["h2"]
    with host.cut_off():
        assert not tcp_connects(host, 8443, SILENCE)
        ask(host)
    assert https(host, clean_lab)["status_code"] == 200


def test_powered_off_and_back_with_its_containers(clean_lab: Lab) -> None:
    host = clean_lab.hosts["h3"]
    host.cli("launch", "busybox", "c1")
    with host.powered_off():
        assert not tcp_connects(host, 22, SILENCE)
        assert host.status()["power"] == "off"
        with pytest.raises(ConnectionRefusedError):
            ask(host)
    assert [each["name"] for each in host.api("GET", "/1.0/instances?recursion=1")] == ["c1"]


def test_split(clean_lab: Lab) -> None:
    one, other = clean_lab.hosts["h1"], clean_lab.hosts["i1"]

    def reaches(host: LabHost, timeout: int = 30) -> bool:
        return one.run("/usr/bin/curl", "-skm", str(timeout), f"https://{host.address}:8443/", check=False) != ""

    assert reaches(other)
    with one.split_from(other):
        assert not reaches(other, 1)
        assert reaches(clean_lab.hosts["h2"])
        assert https(other, clean_lab)["status_code"] == 200
    assert reaches(other)


def test_a_clean_stop_and_start(clean_lab: Lab) -> None:
    for name in ("h1", "i1"):
        host = clean_lab.hosts[name]
        host.stop()
        assert host.daemon_pid is None
        assert host.start()
        assert not host.start()


@pytest.mark.parametrize("fault", ["hung", "killed", "frozen", "cut_off", "powered_off"])
def test_a_fault_is_undone_when_the_test_fails(clean_lab: Lab, fault: str) -> None:
    host = clean_lab.hosts["h1"]
    during: AbstractContextManager[None] = getattr(host, fault)()
    with pytest.raises(ZeroDivisionError), during:
        raise ZeroDivisionError
    assert host.status()["daemon"] == "ok"
    assert https(host, clean_lab)["status_code"] == 200


def test_undo_faults_undoes_all_at_once(clean_lab: Lab) -> None:
    hosts = clean_lab.hosts
    hosts["h1"].hang()
    hosts["h1"].cut()
    hosts["h1"].split(hosts["h3"])
    hosts["h2"].freeze()
    hosts["h3"].poweroff()
    hosts["i1"].kill()
    clean_lab.undo_faults()
    for host in hosts.values():
        assert host.status()["daemon"] == "ok"
        assert https(host, clean_lab)["status_code"] == 200
    assert hosts["h1"].run("/usr/sbin/nft", "list", "tables").count("split_") == 0


# -- cleaning


NEVER = ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z")
"""An image that does not expire, before and after somebody edited it."""


def everything(host: LabHost) -> dict[str, Any]:
    """All that a daemon has, but for times and counters."""
    seen: dict[str, Any] = {}
    for kind in (
        "instances",
        "images",
        "images/aliases",
        "profiles",
        "projects",
        "certificates",
        "storage-pools",
        "networks",
    ):
        listed = host.api("GET", f"/1.0/{kind}?recursion=1") or []
        seen[kind] = [
            {
                key: value
                for key, value in each.items()
                if key not in ("used_by", "uploaded_at", "last_used_at", "cached") and value not in NEVER
            }
            for each in sorted(listed, key=lambda each: str(each.get("name", each.get("fingerprint"))))
            if each.get("managed", True)
        ]
    seen["volumes"] = host.api("GET", "/1.0/storage-pools/default/volumes/custom")
    seen["unpacked"] = host.api("GET", "/1.0/storage-pools/fast/volumes/image")
    config = host.api("GET", "/1.0")["config"]
    seen["config"] = {key: value for key, value in config.items() if not key.startswith("volatile.")}
    return seen


@pytest.mark.parametrize("name", ["h3", "i1"])
def test_clean_puts_everything_back(clean_lab: Lab, name: str) -> None:
    host, lab = clean_lab.hosts[name], clean_lab
    before = everything(host)
    third_octet = f"10.{200 + lab.layout.number}.{host.octet + 100}"

    host.cli("launch", "busybox", "runs")
    host.cli("init", "busybox", "kept", "-s", "fast", "-c", "security.protection.delete=true")
    host.cli("snapshot", *(["create"] if name == "i1" else []), "kept", "s0")
    envelope(host.socket, "POST", "/1.0/instances/runs/exec", {"command": ["sleep", "1000"]})
    host.cli("profile", "create", "web")
    host.cli("profile", "set", "default", "limits.memory", "64MiB")
    host.cli("project", "create", "other", "-c", "features.images=true", "-c", "features.profiles=true")
    host.cli("image", "import", str(lab.make_image("other")), "--alias", "there", "--project", "other")
    host.cli("profile", "create", "web", "--project", "other")
    host.cli("init", "there", "far", "--project", "other", "-s", "default")
    host.cli("storage", "volume", "create", "default", "data")
    host.cli("storage", "create", "more", "dir")
    host.cli("network", "set", host.kind.bridge, "user.rack=7")
    host.cli("network", "create", "extra", f"ipv4.address={third_octet}.1/24", "ipv6.address=none")
    host.cli("image", "delete", "busybox")
    host.cli("image", "import", str(lab.make_image("other")), "--alias", "busybox", "--alias", "more")
    host.api("PATCH", "/1.0", {"config": {"core.proxy_http": "http://127.0.0.1:1"}})
    host.token()
    certificate = next(iter(host.api("GET", "/1.0/certificates"))).rsplit("/", 1)[1]
    host.api("DELETE", f"/1.0/certificates/{certificate}")
    assert everything(host) != before

    lab.clean()
    assert everything(host) == before
    assert not host.api("GET", "/1.0/operations?recursion=1").get("running")
    assert https(host, lab)["metadata"]["auth"] == "trusted"


@pytest.mark.parametrize("name", ["h3", "i1"])
def test_clean_forgets_the_image_that_a_pool_unpacked(clean_lab: Lab, name: str) -> None:
    host = clean_lab.hosts[name]
    host.cli("init", "busybox", "kept", "-s", "fast")
    assert len(host.api("GET", "/1.0/storage-pools/fast/volumes/image")) == 1
    clean_lab.clean()
    assert not host.api("GET", "/1.0/storage-pools/fast/volumes/image")
    assert host.api("GET", "/1.0/storage-pools/fast")["used_by"] in ([], None)


# -- up and down


def opposite(lab: Lab) -> Lab:
    """A lab of our own beside the one under test."""
    return Lab((lab.layout.number + 14) % 56)  # 28 is that of the clusters


def test_labs_stand_side_by_side_and_leave_nothing(lab: Lab) -> None:
    other = opposite(lab)
    assert not other.leftovers()
    try:
        other.up(lxd=1, incus=1, password="secret")
        assert other.is_up
        host = other.hosts["h1"]
        assert host.api("GET", "/1.0")["config"]["core.trust_password"] is True
        host.cli("launch", "busybox", "c1", "-s", "fast")
        other.hosts["i1"].cli("launch", "busybox", "c1")
        host.hang()
        other.hosts["i1"].freeze()
        found = "\n".join(other.leftovers())
        for thing in ("directory", "interface", "network namespace", "cgroup", "loop device", "process"):
            assert thing in found
        other.up(lxd=1, incus=1)
        assert host.status()["instances"] == 1
    finally:
        other.down()
    assert not other.leftovers()
    assert [host.status()["daemon"] for host in lab.hosts.values()] == ["ok"] * 4
    with pytest.raises(OSError, match="No such file"):
        call(host.socket, "GET", "/1.0")


def test_the_command_line(lab: Lab) -> None:
    def cli(*arguments: str) -> str:
        return run(sys.executable, "-m", "tests.lab", *arguments, env={**os.environ, "PYTHONPATH": str(Path.cwd())})

    assert [each["daemon"] for each in json.loads(cli("status", "--json"))] == ["ok"] * 4
    assert "h1" in cli("status")
    assert cli("exec", "h2", "--", "/bin/hostname").strip() == "h2"
    with lab.hosts["h2"].hung():
        cli("unhang", "h2")
        ask(lab.hosts["h2"])
    assert "export LXD_CONF=" in cli("env")
    with pytest.raises(LabError, match=r"no host h9 in lab \d+ \(there: h1 h2 h3 i1\)"):
        cli("cut", "h9")
    assert f"--hosts {lab.hosts_file} --state {lab.state_dir}" in cli("up")


@pytest.mark.parametrize("number", [-1, 56])
def test_a_lab_number_that_does_not_fit(number: int) -> None:
    with pytest.raises(LabError, match=f"0 to 55, not {number}"):
        Layout(number)


@pytest.mark.parametrize("name", ["", "h0", "x1", "h1x", "h123"])
def test_host_names(name: str) -> None:
    from tests.lab.layout import parse_name

    with pytest.raises(LabError, match="no host name"):
        parse_name(name)


def test_the_daemons_own_error_is_told(lab: Lab) -> None:
    with pytest.raises(RestError, match="404") as caught:
        lab.hosts["h1"].api("GET", "/1.0/instances/none")
    assert caught.value.code == 404


# -- tests that need a lab never vanish in silence


@pytest.mark.parametrize("required", ["0", "1"])
def test_without_a_lab(required: str) -> None:
    environment = {**os.environ, "LXDPM_LAB": "99", "LXDPM_REQUIRE_LAB": required}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/lab/test_lab.py", "-k", "host_names or hung"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    if required == "1":
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "there can be no real daemons here" in told
    else:
        assert done.returncode == pytest.ExitCode.OK
        assert "LEFT OUT: " in told
        assert "5 passed" in told
