"""Ansible's lxd_profile and lxd_container on the gateway: a playbook run twice changes nothing the second time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clients.commands import Server
from tests.lab.lab import Lab
from tests.lab.run import PATH

HOSTS = ("h3", "i1")  # LXD by SSH, Incus by HTTPS


@pytest.fixture(autouse=True)
def cleaned(lab: Lab) -> Iterator[None]:
    yield
    lab.clean()


def playbook(server: Server, state: str) -> list[dict[str, Any]]:
    reach = {
        "url": server.address,
        "client_cert": str(server.identity / "client.crt"),
        "client_key": str(server.identity / "client.key"),
    }
    profile = {
        "community.general.lxd_profile": {
            **reach,
            "name": "web",
            "state": "present",
            "config": {"limits.cpu": "1"},
            "description": "of ansible",
            "devices": {"tmp": {"type": "disk", "source": "/tmp", "path": "/mnt"}},
        }
    }
    containers = [
        {
            "community.general.lxd_container": {
                **reach,
                "name": f"web-{host}",
                "state": state,
                "target": host,
                "type": "container",
                "source": {"type": "image", "alias": "busybox"},
                "profiles": ["default", "web"],
                "config": {"user.role": "web"},
                "wait_for_ipv4_addresses": state == "started",
                "timeout": 120,
                "force_stop": True,
            }
        }
        for host in HOSTS
    ]
    return [{"hosts": "localhost", "gather_facts": False, "tasks": [profile, *containers]}]


def play(folder: Path, server: Server, state: str) -> dict[str, int]:
    """Run it; how many tasks were ok, changed, and failed."""
    book = playbook(server, state)
    (folder / "server.crt").write_text(server.certificate)
    (folder / "book.yml").write_text(yaml.safe_dump(book))
    done = subprocess.run(
        [
            "ansible-playbook", "-i", "localhost,", "-c", "local",
            "-e", f"ansible_python_interpreter={sys.executable}", str(folder / "book.yml"),
        ],
        env={
            "PATH": PATH, "HOME": str(folder), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
            "ANSIBLE_STDOUT_CALLBACK": "json", "ANSIBLE_DEPRECATION_WARNINGS": "0", "ANSIBLE_LOCAL_TEMP": str(folder),
            "SSL_CERT_FILE": str(folder / "server.crt"),
        },
        capture_output=True, timeout=200, check=False, text=True, cwd=folder,
    )  # fmt: skip
    assert "{" in done.stdout, (done.stdout, done.stderr)
    told = json.loads(done.stdout[done.stdout.index("{") :])
    results = [task["hosts"]["localhost"] for each in told["plays"] for task in each["tasks"]]
    assert done.returncode == 0, [result["msg"] for result in results if result.get("failed")]
    found: dict[str, int] = told["stats"]["localhost"]
    return found


@pytest.mark.timeout(600)
def test_a_playbook_twice(lab: Lab, fleet: Server, tmp_path: Path) -> None:
    first = play(tmp_path, fleet, "started")
    assert (first["ok"], first["changed"], first["failures"]) == (3, 3, 0)
    for name in HOSTS:
        host = lab.hosts[name]
        (row,) = host.api("GET", "/1.0/instances?recursion=1")
        assert (row["name"], row["status"], row["profiles"]) == (f"web-{name}", "Running", ["default", "web"])
    for host in lab.hosts.values():
        assert host.api("GET", "/1.0/profiles/web")["config"] == {"limits.cpu": "1"}
    second = play(tmp_path, fleet, "started")
    assert (second["ok"], second["changed"], second["failures"]) == (3, 0, 0)
    assert play(tmp_path, fleet, "absent")["changed"] == 2
    assert all(host.api("GET", "/1.0/instances") == [] for host in lab.hosts.values())
