"""Getting images onto a daemon and off it again."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, urlsplit

from lxdpm_tui.demo import content
from lxdpm_tui.demo.content import Content
from lxdpm_tui.demo.events import timestamp
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import Image, Project, State
from lxdpm_tui.demo.variants import JSON, Problem

MIB = 2**20
DOWNLOAD, IMPORT, DELETE = 1.0, 0.05, 0.05  # seconds on a fast real host

# What the public image servers have: alias -> (os, release, description, megabytes as simulated).
CATALOG: dict[str, tuple[str, str, str, int]] = {
    "debian/12": ("Debian", "bookworm", "Debian bookworm amd64 (20261120_05:24)", 21),
    "debian/11": ("Debian", "bullseye", "Debian bullseye amd64 (20261119_05:24)", 20),
    "ubuntu/24.04": ("Ubuntu", "noble", "Ubuntu noble amd64 (20261121_07:42)", 34),
    "ubuntu/22.04": ("Ubuntu", "jammy", "Ubuntu jammy amd64 (20261121_07:42)", 32),
    "alpine/3.20": ("Alpine", "3.20", "Alpine 3.20 amd64 (20261121_13:00)", 3),
    "alpine/3.19": ("Alpine", "3.19", "Alpine 3.19 amd64 (20261121_13:00)", 3),
    "rockylinux/9": ("Rockylinux", "9", "Rockylinux 9 amd64 (20261121_02:06)", 27),
    "fedora/40": ("Fedora", "40", "Fedora 40 amd64 (20261121_20:33)", 24),
    "archlinux": ("Archlinux", "current", "Archlinux current amd64 (20261121_04:18)", 30),
}
_built: dict[str, Content] = {}


def public_image(alias: str) -> Image:
    """An image of the catalogue: the same bytes, and so the same fingerprint, on every daemon. Raises KeyError."""
    os, release, description, size = CATALOG[alias]
    properties = {"architecture": "amd64", "description": description, "os": os, "release": release}
    metadata = {"architecture": "x86_64", "creation_date": 1_795_000_000, "properties": properties}
    if alias not in _built:
        _built[alias] = content.build(metadata, size * MIB)
    return make(_built[alias], metadata)


def make(data: Content, metadata: JSON) -> Image:
    """An image of those bytes, described by its metadata.yaml."""
    found = metadata.get("properties")
    properties = {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    when = str(metadata.get("creation_date", "0"))
    return Image(
        content=data,
        properties=properties,
        architecture=str(metadata.get("architecture", "x86_64")),
        type="virtual-machine" if data.rootfs and data.rootfs.startswith(b"QFI") else "container",
        created_at=timestamp(float(when) if when.replace(".", "").isdigit() else 0),
        uploaded_at=timestamp(),
    )


def find(state: State, project: Project, fingerprint: str, *, plain: bool = False) -> Image:
    """By fingerprint or the unique start of one. plain: the text that names no image."""
    matches = [image for known, image in project.images.items() if known.startswith(fingerprint)]
    if len(matches) > 1:
        raise state.variant.problem("image-ambiguous")
    if not matches:
        missing = state.variant.problem("image-missing", name=fingerprint)
        raise Problem(404, "Image not found") if plain else missing
    return matches[0]


def tell(state: State, project: Project, image: Image, what: str, context: JSON | None = None) -> None:
    source = state.url("images", image.fingerprint, project=project.name)
    state.hub.lifecycle(project.name, f"image-{what}", source, context=context)


def import_file(state: State, project: Project, data: Content, headers: dict[str, str]) -> Operation:
    """Take an uploaded file. headers: the lower-case ends of X-LXD-... that came with it."""

    async def work(operation: Operation) -> None:
        await state.pause(IMPORT)
        expected = headers.get("fingerprint", "")
        if expected and expected != data.fingerprint:
            raise Problem(500, f"fingerprints don't match, got {data.fingerprint} expected {expected}")
        metadata = data.metadata()
        if not metadata.get("architecture"):
            raise Problem(500, "Missing architecture")
        if not metadata.get("creation_date"):
            raise Problem(500, "Missing creation date")
        image = make(data, metadata)
        image.filename = headers.get("filename", "")
        image.public = headers.get("public", "") in ("1", "true")
        image.properties |= dict(parse_qsl(headers.get("properties", "")))
        _store(state, project, image, operation)

    return state.operations.start("Downloading image", project.name, work)


def _store(state: State, project: Project, image: Image, operation: Operation) -> None:
    operation.progress(fingerprint=image.fingerprint, size=str(image.content.size))
    if image.fingerprint in project.images:
        raise Problem(500, "Image with same fingerprint already exists")
    project.images[image.fingerprint] = image
    tell(state, project, image, "created", {"type": image.type})


def fetch(state: State, project: Project, body: JSON) -> Operation:
    """POST /images with a source: another server, a URL, or an instance. Nothing leaves this process."""
    source = body.get("source") or {}
    kind = source.get("type", "")
    if kind in ("instance", "container", "virtual-machine", "snapshot") and state.variant.containers_path:
        state.find(project.name, source.get("name", "").split("/")[0])
    elif kind not in ("image", "url", "instance", "container", "virtual-machine", "snapshot"):
        raise Problem(500, "Invalid images JSON")

    async def work(operation: Operation) -> None:
        if kind in ("image", "url"):
            await state.pause(DOWNLOAD / 10)
            image = _remote(source)
            for percent in (20, 45, 70, 100):
                await state.pause(DOWNLOAD / 4)
                operation.progress(download_progress=f"rootfs: {percent}% (31.20MB/s)")
        else:
            image = await _publish(state, project, body)
        image.public = bool(body.get("public"))
        image.properties |= {key: str(value) for key, value in (body.get("properties") or {}).items()}
        image.auto_update = bool(body.get("auto_update"))
        _store(state, project, image, operation)
        for alias in body.get("aliases") or []:
            target = {"description": alias.get("description", ""), "target": image.fingerprint}
            project.aliases[alias["name"]] = target

    return state.operations.start("Downloading image", project.name, work)


def _remote(source: JSON) -> Image:
    """What a public server would give. Port 1 refuses, as it does everywhere."""
    url = source.get("url") or source.get("server") or ""
    refused = "dial tcp {0}: connect: connection refused"
    place = urlsplit(url).netloc
    if place.endswith(":1"):
        why = refused.format(place)
        if source.get("type") == "url":
            raise Problem(500, f'Head "{url}": Unable to connect to: {place} ([{why}])')
        text = f'Failed getting image: Failed parsing stream: Get "{url}/streams/v1/index.json": {why}'
        raise Problem(500, f"Failed getting remote image info: {text}")
    wanted = source.get("alias") or source.get("fingerprint") or ""
    for alias in CATALOG:
        image = public_image(alias)
        if wanted == alias or (len(wanted) >= 12 and image.fingerprint.startswith(wanted)):
            return image
    if source.get("type") == "url":
        metadata = {"architecture": "x86_64", "creation_date": 1_795_000_000, "properties": {"description": url}}
        return make(content.build(metadata, 4 * MIB), metadata)
    text = "Failed getting image: The requested image couldn't be found"
    raise Problem(500, f"Failed getting remote image info: {text}")


async def _publish(state: State, project: Project, body: JSON) -> Image:
    name = body["source"].get("name", "")
    found = state.find(project.name, name.split("/")[0])
    if found.running and "/" not in name:
        raise Problem(500, "The instance must be stopped")
    await state.pause(DOWNLOAD)
    base = project.images.get(found.config.get("volatile.base_image", ""))
    properties = dict(base.properties) if base is not None else {}
    metadata = {"architecture": "x86_64", "creation_date": 1_795_000_000, "properties": properties, "of": name}
    image = make(content.build(metadata, 8 * MIB), metadata)
    image.type = found.type
    return image


def delete(state: State, project: Project, image: Image) -> Operation:
    async def work(_: Operation) -> None:
        await state.pause(DELETE)
        if project.images.pop(image.fingerprint, None) is None:
            raise Problem(404, "Image not found")
        for name in [name for name, alias in project.aliases.items() if alias["target"] == image.fingerprint]:
            del project.aliases[name]
        tell(state, project, image, "deleted")

    urls = {"images": [state.url("images", image.fingerprint, project=project.name)]}
    return state.operations.start("Deleting image", project.name, work, resources=urls)


def secret(state: State, project: Project, image: Image) -> Operation:
    """A token with which somebody untrusted may export the image once."""
    tell(state, project, image, "secret-created")
    return state.operations.start(
        "Image download token",
        project.name,
        None,
        kind="token",
        resources={"images": [state.url("images", image.fingerprint, project=project.name)]},
        metadata={"secret": secrets.token_hex(32)},
        may_cancel=True,
    )
