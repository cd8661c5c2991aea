"""Callers over HTTPS who are not trusted, or restricted to some projects, on real things."""

from __future__ import annotations

import asyncio

from tests.gateway import direct
from tests.gateway.restricted.https import HttpsClient
from tests.lab.lab import Lab


async def test_guests_see_only_what_is_theirs(guest: HttpsClient, admin: HttpsClient, clean_lab: Lab) -> None:
    await admin.create("secret", "h1", start=True)
    for host in ("h1", "i1"):
        body = {"name": f"own-{host}", "source": {"type": "image", "alias": "busybox"}}
        await guest.done("POST", f"/1.0/instances?project=theirs&target={host}", body)
    await guest.done("PUT", "/1.0/instances/own-h1/state?project=theirs", {"action": "start"})
    for path in ("/1.0/storage-pools/default/volumes/custom?project=theirs&target=h1",):
        await guest.done("POST", path, {"name": "mine"})
    await admin.done("POST", "/1.0/storage-pools/default/volumes/custom?target=h2", {"name": "hidden"})
    assert await guest.get("/1.0/projects") == ["/1.0/projects/theirs"]
    assert (await guest.ask("GET", "/1.0/projects/default")).status == 404
    assert (await guest.ask("GET", "/1.0/projects/default/state")).status == 404
    assert (await guest.get("/1.0/projects/theirs/state"))["resources"]["instances"]["Usage"] == 2
    rows = await guest.get("/1.0/instances?recursion=1&all-projects=true")
    assert sorted(row["name"] for row in rows) == ["own-h1", "own-i1"]
    rows = await guest.get("/1.0/storage-volumes?recursion=1&all-projects=true")
    assert {row["project"] for row in rows} == {"theirs"}
    assert "mine" in {row["name"] for row in rows}
    for kind in ("storage-pools", "networks?all-projects=true", "networks?project=theirs"):
        text = (await guest.ask("GET", f"/1.0/{kind}{'&' if '?' in kind else '?'}recursion=1")).body.decode()
        assert "secret" not in text, kind
        assert '/1.0/profiles/default"' not in text, kind
    metrics = (await guest.ask("GET", "/1.0/metrics")).body.decode()
    assert ('name="own-h1"' in metrics, "secret" in metrics, "lxdpm_host_up" in metrics) == (True, False, False)
    assert (await guest.get("/1.0"))["config"] == {}
    assert (await guest.ask("GET", "/1.0/warnings")).status == 403


async def test_guests_cannot_reach_through_a_body(guest: HttpsClient, admin: HttpsClient) -> None:
    await admin.create("secret", "h1")
    await admin.done("POST", "/1.0/storage-pools/default/volumes/custom?target=h1", {"name": "hidden"})
    copy = {"name": "stolen", "source": {"type": "copy", "source": "secret", "project": "default"}}
    assert (await guest.ask("POST", "/1.0/instances?project=theirs", copy)).status == 403
    copy = {"name": "stolen", "source": {"type": "copy", "name": "hidden", "pool": "default", "project": "default"}}
    path = "/1.0/storage-pools/default/volumes/custom?project=theirs"
    assert (await guest.ask("POST", path, copy)).status == 403
    await guest.done("POST", path, {"name": "mine"})
    out = await guest.ask(
        "POST", "/1.0/storage-pools/default/volumes/custom/mine?project=theirs", {"name": "mine", "project": "default"}
    )
    assert out.status == 403


async def test_a_secret_lets_a_stranger_fetch_one_private_image_once(
    stranger: HttpsClient, admin: HttpsClient, clean_lab: Lab
) -> None:
    fingerprint = clean_lab.image_fingerprint
    path = f"/1.0/images/{fingerprint}"
    await admin.done("PATCH", path, {"public": False})
    assert (await stranger.ask("GET", path)).status == 404
    assert (await stranger.ask("GET", f"{path}/export")).status == 404
    given = await admin.ask("POST", f"{path}/secret")
    secret = given.metadata["metadata"]["secret"]
    assert (await stranger.ask("GET", f"{path}?secret=wrong{secret}")).status == 404
    assert (await stranger.ask("GET", f"{path}?secret={secret}")).metadata["fingerprint"] == fingerprint
    exported = await stranger.ask("GET", f"{path}/export?secret={secret}")
    assert (exported.status, exported.body) == (200, await asyncio.to_thread(clean_lab.image.read_bytes))
    assert (await direct.ask(clean_lab, "h1", "GET", path))["public"] is False
    answer = await admin.wait(given)
    assert answer.json["type"] == "error"  # it was used, so it has been cancelled
