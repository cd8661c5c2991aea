"""How a host is set up through its daemon's own API, and how it is brought back to that after a test.

A host as set up: HTTPS on port 8443 of its own address, the lab's client certificate trusted, a pool `default` (dir)
and, where btrfs can be made, `fast` (btrfs on a 2 GiB sparse file), a managed bridge, a default profile with a root
disk and a network card, and the image `busybox`.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.lab.host import LabHost
from tests.lab.layout import LXD, LabError
from tests.lab.rest import RestError
from tests.lab.run import PATH, until

POOLS = ("default", "fast")
ALIAS = "busybox"
NOT_FOUND = 404
COMMANDS = ("Executing command", "Showing console")  # descriptions of operations, the same in LXD and Incus
ENDING = 90  # seconds that an operation may take to end


def configure(host: LabHost, image: Path, client_certificate: Path, password: str = "") -> None:
    """Set a started host up; does only what is not there yet. A password is set on LXD only: Incus knows none."""
    wanted = _server_config(host)
    if password and host.kind is LXD:
        wanted["core.trust_password"] = password
    have = host.api("GET", "/1.0")["config"]
    if changed := {key: value for key, value in wanted.items() if have.get(key) != value}:
        host.api("PATCH", "/1.0", {"config": changed})

    pools = _names(host.api("GET", "/1.0/storage-pools"))
    if "default" not in pools:
        host.api("POST", "/1.0/storage-pools", {"name": "default", "driver": "dir", "config": {}})
    if "fast" not in pools and shutil.which("mkfs.btrfs", path=PATH):
        host.api("POST", "/1.0/storage-pools", {"name": "fast", "driver": "btrfs", "config": {"size": "2GiB"}})
    if host.kind.bridge not in _names(host.api("GET", "/1.0/networks")):
        host.api("POST", "/1.0/networks", {"name": host.kind.bridge, "type": "bridge", "config": _bridge_config(host)})
    _default_profile(host)
    _certificates(host, client_certificate)
    _image(host, image)


def reset(host: LabHost, image: Path, client_certificate: Path) -> None:
    """Remove what tests made on a host and restore what they changed; returns when its operations have ended.

    LabError with what is left when it cannot be removed.
    """
    _end_operations(host, wait_for_commands=False)
    delete_instances(host)
    _end_operations(host, wait_for_commands=True)
    projects: list[dict[str, Any]] = host.api("GET", "/1.0/projects?recursion=1")
    for project in sorted(projects, key=lambda each: each["name"] == "default"):  # the default one last
        name = project["name"]
        _delete_volumes(host, name)
        if name != "default":
            if project["config"].get("features.images") == "true":  # else it shows those of the default project
                for image_name in _names(host.api("GET", f"/1.0/images?project={quote(name)}")):
                    _delete(host, f"/1.0/images/{image_name}", name)
            _delete_profiles(host, name)
            _delete_networks(host, name)
            _delete(host, f"/1.0/projects/{quote(name)}")
    _delete_profiles(host, "default")
    _default_profile(host)
    _delete_networks(host, "default")
    _restore_bridge(host)
    for pool in _names(host.api("GET", "/1.0/storage-pools")):
        if pool not in POOLS:
            _delete(host, f"/1.0/storage-pools/{quote(pool)}")
    _delete_unpacked_images(host)
    _image(host, image)
    _certificates(host, client_certificate)
    _restore_server_config(host)


def fingerprint(image: Path) -> str:
    """Fingerprint of a unified image file."""
    return hashlib.sha256(image.read_bytes()).hexdigest()


def _names(paths: list[str] | None) -> list[str]:
    return [path.partition("?")[0].rsplit("/", 1)[1] for path in paths or []]  # null when there is none


def _server_config(host: LabHost) -> dict[str, str]:
    return {"core.https_address": f"{host.address}:8443", "images.auto_update_interval": "0"}


def _restore_server_config(host: LabHost) -> None:
    wanted = _server_config(host)
    have = host.api("GET", "/1.0")["config"]
    extra = {key: "" for key in have if key not in wanted and not key.startswith("volatile.")}
    if extra or any(have.get(key) != value for key, value in wanted.items()):
        host.api("PATCH", "/1.0", {"config": wanted | extra})


def _bridge_config(host: LabHost) -> dict[str, str]:
    return {"ipv4.address": host.layout.container_gateway(host.octet), "ipv4.nat": "true", "ipv6.address": "none"}


def _restore_bridge(host: LabHost) -> None:
    path, wanted = f"/1.0/networks/{host.kind.bridge}", _bridge_config(host)
    for forward in _names(host.api("GET", f"{path}/forwards")):
        _delete(host, f"{path}/forwards/{forward}")
    have = host.api("GET", path)
    if (have["config"], have["description"]) != (wanted, ""):
        host.api("PUT", path, {"config": wanted, "description": ""})


def _default_profile(host: LabHost) -> None:
    devices = {
        "root": {"type": "disk", "path": "/", "pool": "default"},
        "eth0": {"type": "nic", "network": host.kind.bridge, "name": "eth0"},
    }
    have = host.api("GET", "/1.0/profiles/default")
    if have["config"] or have["devices"] != devices:
        host.api("PUT", "/1.0/profiles/default", {"description": have["description"], "config": {}, "devices": devices})


def _certificates(host: LabHost, client_certificate: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(client_certificate.read_text())
    ours = hashlib.sha256(der).hexdigest()
    have = _names(host.api("GET", "/1.0/certificates"))
    for other in have:
        if other != ours:
            _delete(host, f"/1.0/certificates/{other}")
    if ours not in have:
        body = {"type": "client", "name": "lab", "certificate": base64.b64encode(der).decode()}
        host.api("POST", "/1.0/certificates", body)


def _image(host: LabHost, image: Path) -> None:
    """Exactly one image, with exactly one alias."""
    ours = fingerprint(image)
    images: dict[str, dict[str, Any]] = {
        each["fingerprint"]: each for each in host.api("GET", "/1.0/images?recursion=1") or []
    }
    for each in images:
        if each != ours:
            _delete(host, f"/1.0/images/{each}")
    if ours in images and not images[ours]["public"]:
        host.api("PATCH", f"/1.0/images/{ours}", {"public": True})
    if ours not in images:
        prefix = host.kind.header
        headers = {
            "Content-Type": "application/octet-stream",
            f"{prefix}filename": image.name,
            f"{prefix}public": "1",
        }
        host.api("POST", "/1.0/images", image.read_bytes(), headers)
    aliases = {each["name"]: each for each in host.api("GET", "/1.0/images/aliases?recursion=1") or []}
    for name, each in aliases.items():
        if (name, each["target"], each["description"]) != (ALIAS, ours, ""):
            _delete(host, f"/1.0/images/aliases/{quote(name, safe='')}")
    kept = aliases.get(ALIAS)
    if not kept or (kept["target"], kept["description"]) != (ours, ""):
        host.api("POST", "/1.0/images/aliases", {"name": ALIAS, "target": ours})


def _end_operations(host: LabHost, *, wait_for_commands: bool) -> None:
    """Cancel what can be cancelled and wait for the rest. Commands in an instance may end only with the instance.

    LXD 5.0 now and then keeps one for ever whose instance and clients are gone: then it is begun anew.
    """
    stuck = False
    for listed in (host.api("GET", "/1.0/operations?recursion=1&all-projects=true") or {}).values():
        for operation in listed:
            path = f"/1.0/operations/{operation['id']}"
            if operation["may_cancel"] and operation["status_code"] < 200:
                with suppress(RestError):  # it has ended meanwhile, so that it cannot be cancelled any more
                    host.api("DELETE", path)
            elif wait_for_commands or operation["description"] not in COMMANDS:
                with suppress(RestError):  # it has ended and is gone
                    seen = host.api("GET", f"{path}/wait?timeout={ENDING}", timeout=ENDING + 30)
                    if seen["status_code"] < 200 and operation["description"] in COMMANDS:
                        stuck = True
                    elif seen["status_code"] < 200:
                        raise LabError(f"{host.name}: still running after {ENDING} s: {operation['description']}")
    if stuck:
        host.kill()
        host.start()


def delete_instances(host: LabHost) -> None:
    """All of the host, or of its cluster."""
    for each in host.api("GET", "/1.0/instances?recursion=1&all-projects=true") or []:
        path = f"/1.0/instances/{quote(each['name'])}"
        query = f"?project={quote(each['project'])}"
        if each["config"].get("security.protection.delete") == "true":
            host.api("PATCH", path + query, {"config": {"security.protection.delete": "false"}})
        if each["status"] != "Stopped":
            _stop(host, path + query)
        until(partial(_instance_goes, host, path + query), ENDING, f"{host.name}: deleting {each['name']}")


def _stop(host: LabHost, url: str) -> None:
    path, _, query = url.partition("?")
    with suppress(RestError):  # it stopped by itself meanwhile; the deletion tells
        host.api("PUT", f"{path}/state?{query}", {"action": "stop", "force": True, "timeout": 20})


def _instance_goes(host: LabHost, url: str) -> bool:
    """Whether it could be deleted. One that has just failed to start says for a moment that it runs, and one that a
    test left in the middle of an operation that it is busy."""
    try:
        host.api("DELETE", url)
    except RestError as error:
        if "is running" in str(error):
            _stop(host, url)
        if "is running" in str(error) or "is busy" in str(error):
            return False
        if error.code != NOT_FOUND:
            raise LabError(f"{host.name}: cannot delete {url}: {error}") from error
    return True


def _delete_profiles(host: LabHost, project: str) -> None:
    for name in _names(host.api("GET", f"/1.0/profiles?project={quote(project)}")):
        if name != "default":
            _delete(host, f"/1.0/profiles/{quote(name)}", project)


def _delete_networks(host: LabHost, project: str) -> None:
    for each in host.api("GET", f"/1.0/networks?recursion=1&project={quote(project)}") or []:
        if each["managed"] and each["name"] != host.kind.bridge:
            _delete(host, f"/1.0/networks/{quote(each['name'])}", project)


def _delete_volumes(host: LabHost, project: str) -> None:
    for pool in _names(host.api("GET", "/1.0/storage-pools")):
        path = f"/1.0/storage-pools/{quote(pool)}/volumes/custom"
        for each in host.api("GET", f"{path}?recursion=1&project={quote(project)}") or []:
            if "/" not in each["name"]:  # snapshots go with their volume
                _delete(host, f"{path}/{quote(each['name'])}", project)


def _delete_unpacked_images(host: LabHost) -> None:
    """A pool keeps the image of an instance that was made in it, which shows in its used_by and makes deletion slow."""
    for pool in _names(host.api("GET", "/1.0/storage-pools")):
        path = f"/1.0/storage-pools/{quote(pool)}/volumes/image"
        for name in _names(host.api("GET", path)):
            _delete(host, f"{path}/{name}")


def _delete(host: LabHost, path: str, project: str = "default") -> None:
    try:
        host.api("DELETE", f"{path}?project={quote(project)}")
    except RestError as error:
        if error.code != NOT_FOUND:
            raise LabError(f"{host.name}: cannot delete {path}: {error}") from error
