"""Which image is meant, and its aliases on all hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lxdpm_tui.actions import images
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.actions.images import ended, held, new_image, off, targets, until_silent
from tests.lab.lab import Lab

ALL = {"h1", "h2", "h3", "i1"}


async def test_fingerprints_by_their_beginning(manager: Manager, clean_lab: Lab) -> None:
    fingerprint = clean_lab.image_fingerprint
    found = await images.locate(manager, fingerprint[:8])
    assert (found.fingerprint, set(found.images), found.silent) == (fingerprint, ALL, {})
    assert (await images.locate(manager, "busybox", aliases=True)).fingerprint == fingerprint
    for ref in ("busybox", "", "%", "zz"):
        with pytest.raises(ActionError, match="Image not found") as error:
            await images.locate(manager, ref)
        assert error.value.code == 404
    # Two images with the same first digit, on the same host and then on different ones.
    twins: dict[str, Path] = {}
    while len(twins) < 2:
        path, other = new_image(clean_lab, "twin")
        if other[0] != fingerprint[0] and all(other[0] == known[0] for known in twins):
            twins[other] = path
    (first, one), (second, two) = twins.items()
    await ended(await manager.run("image-import", source=str(one), hosts=["h1"]))
    await ended(await manager.run("image-import", source=str(two), hosts=["h2"]))
    with pytest.raises(ActionError, match="not the same everywhere") as error:
        await images.locate(manager, first[0])
    assert error.value.code == 400
    await ended(await manager.run("image-import", source=str(two), hosts=["h1"]))
    with pytest.raises(ActionError, match="beginning of several fingerprints") as error:
        await images.locate(manager, first[0])
    assert error.value.code == 400
    assert (await images.locate(manager, second)).fingerprint == second
    await off(clean_lab.hosts["h3"].kill)
    await until_silent(manager, "h3")
    with pytest.raises(ActionError, match="cannot ask h3: ") as error:
        await images.locate(manager, "f" * 64)
    assert error.value.code == 503


async def test_aliases_on_all_hosts(manager: Manager, clean_lab: Lab) -> None:
    fingerprint = clean_lab.image_fingerprint
    await ended(await manager.run("image-alias-create", fingerprint=fingerprint[:12], name="a/b", description="d"))
    assert await targets(clean_lab, "a/b") == dict.fromkeys(ALL, fingerprint)
    with pytest.raises(ActionError, match=r'Alias "a/b" already exists') as error:
        await manager.run("image-alias-create", fingerprint=fingerprint, name="a/b")
    assert error.value.code == 409
    await ended(await images.update_alias(manager, "a/b", description="other"))
    assert {host["aliases"]["a/b"]["description"] for host in (await held(clean_lab)).values()} == {"other"}
    await ended(await manager.run("image-alias-rename", name="a/b", new_name="c"))
    assert await targets(clean_lab, "a/b") == {}
    assert await targets(clean_lab, "c") == dict.fromkeys(ALL, fingerprint)
    await ended(await manager.run("image-alias-delete", name="c"))
    assert await targets(clean_lab, "c") == {}
    with pytest.raises(ActionError, match="Image alias not found") as error:
        await manager.run("image-alias-delete", name="c")
    assert error.value.code == 404


async def test_an_alias_change_that_fails_on_one_host(manager: Manager, clean_lab: Lab) -> None:
    """The new target is missing on h3."""
    path, fingerprint = new_image(clean_lab, "half")
    await ended(await manager.run("image-import", source=str(path), hosts=["h1", "h2", "i1"]))
    await ended(await manager.run("image-alias-create", fingerprint=clean_lab.image_fingerprint, name="a"))
    before = await held(clean_lab)
    task = await ended(await images.update_alias(manager, "a", target=fingerprint), Status.FAILURE)
    assert task.error.startswith("h3: ")
    assert await held(clean_lab) == before
