"""Browsers, as raw HTTP: a front end's files, what lxd-webgui and LXD-UI ask for, and what pages from elsewhere get.

test_chromium.py does the same in a real browser, where there is one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.gateway.browser import ui_file
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.actions.images import paths_of
from tests.fleet.fleets import all_read
from tests.gateway.client import Client
from tests.gateway.recorder import recorded
from tests.gateway.sessions import acknowledged
from tests.lab.lab import Lab

WEB = Path(__file__).parent / "web"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
OWN = {
    "User-Agent": AGENT,
    "Origin": "http://x",
    "Referer": "http://x/ui/",
    "Cookie": "session=1",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Sec-Ch-Ua": '"Chromium";v="140"',
    "Accept-Language": "en",
}
VISIT = {"User-Agent": AGENT, "Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Site": "none"}
LINK = {**VISIT, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


class Page(Client):
    """Everything that it asks for has a browser's headers."""

    heard: bytearray  # what the host got


@pytest.fixture
async def gateway(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[tuple[Gateway, bytearray]]:
    """Over h1 alone, with a front end, and all that h1 is sent."""
    async with recorded(clean_lab.hosts["h1"].socket, tmp_path / "h1") as heard:
        hosts = [HostConfig("h1", UnixAddress(str(tmp_path / "h1")))]
        async with Manager.open(paths_of(clean_lab, tmp_path), hosts) as manager:
            await all_read(manager.fleet)
            async with Gateway.serve(manager, tmp_path / "fleet.socket", ui=WEB) as gateway:
                yield gateway, heard


@pytest.fixture
async def page(gateway: tuple[Gateway, bytearray], tmp_path: Path) -> AsyncIterator[Page]:
    page = Page(tmp_path / "fleet.socket")
    page.session.headers.update(OWN)
    page.heard = gateway[1]
    yield page
    await page.close()


async def test_the_front_end(page: Page) -> None:
    """The root leads a person there, whatever is no file is the front end's own route, also from a link elsewhere."""
    for visit in (VISIT, LINK):
        async with page.session.get("http://x/", headers=visit, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/ui/")
        async with page.session.get("http://x/ui", headers=visit, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/ui/")
        for path in ("/ui/", "/ui/project/default/instances", "/ui/project/default/profile/my.profile", "/ui/no.js"):
            answer_ = await page.ask("GET", path, headers=visit)
            assert (answer_.status, answer_.body) == (200, (WEB / "index.html").read_bytes())
            assert answer_.headers["Content-Type"] == "text/html"
    script = await page.ask("GET", "/ui/app.js")
    assert (script.status, script.body) == (200, (WEB / "app.js").read_bytes())
    assert script.headers["Content-Type"] in ("text/javascript", "application/javascript")
    again = await page.ask("GET", "/ui/app.js", headers={"If-Modified-Since": script.headers["Last-Modified"]})
    assert again.status == 304
    assert (await page.ask("GET", "/")).metadata == ["/1.0"]  # a script's GET is no visit


@pytest.mark.parametrize("path", ["../secret", "..%2Fsecret", "%2e%2e/secret", "a/../../secret", "/%00", "link"])
def test_nothing_outside(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "ui").mkdir()
    (tmp_path / "ui" / "index.html").write_text("page")
    (tmp_path / "ui" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ActionError) as caught:
        ui_file(tmp_path / "ui", path)
    assert caught.value.code == 404


async def test_the_calls_of_lxd_webgui(page: Page) -> None:
    made = await page.ask("POST", "//1.0/containers", {"name": "web", "source": {"type": "image", "alias": "busybox"}})
    assert made.status == 202
    below = await page.ask("GET", f"//1.0{made.json['operation']}")
    assert (below.status, below.json["error_code"]) == (404, 404)
    assert (await page.wait(made)).json["type"] == "sync"
    assert await page.get("//1.0/containers") == ["/1.0/containers/web"]
    assert (await page.get("//1.0/containers/web"))["name"] == "web"
    for kind in ("images", "profiles", "networks", "certificates"):
        for url in await page.get(f"//1.0/{kind}"):
            await page.get("/" + url)
    operations = await page.get("//1.0/operations")
    assert all(isinstance(urls, list) for urls in operations.values())
    await page.done("PUT", "//1.0/containers/web/state", {"action": "start", "timeout": 30, "force": True})
    assert (await acknowledged(page, "web", 7)).code == 7
    assert (await page.ask("OPTIONS", "//1.0/containers/web")).status == 200


async def test_hosts_see_no_browser(page: Page) -> None:
    """Current daemons answer 403 or 415 to what browsers mark; so none of it passes, by whatever way."""
    page.heard.clear()
    await page.create("web", start=True)
    await page.execute("web", "true")  # three websockets
    await page.ask("POST", "/1.0/instances/web/files?path=/root/x", b"data")
    assert (await page.ask("GET", "/1.0/instances/web/files?path=/root/x")).body == b"data"
    await page.get("/1.0/instances?recursion=2")
    await page.ask("PATCH", "/1.0/instances/web", {"description": "seen"})
    heard = bytes(page.heard).lower()
    assert b"get /1.0/instances/web/files?path=" in heard  # it is the right ear
    assert b"upgrade: websocket" in heard
    for word in (b"sec-fetch", b"mozilla", b"origin:", b"referer", b"cookie", b"sec-ch-ua"):
        assert word not in heard


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_pages_from_elsewhere(page: Page, gateway: tuple[Gateway, bytearray], site: str) -> None:
    evil = {"Sec-Fetch-Site": site, "Origin": "https://evil.example"}
    hidden = {"Sec-Fetch-Site": site}  # an image, a script: no origin is told
    del page.session.headers["Origin"]
    for headers in (evil, hidden):
        for method, path in (("GET", "/1.0/containers"), ("PUT", "/1.0/planner"), ("GET", "/1.0/events")):
            answer = await page.ask(method, path, {"state": "gather"} if method == "PUT" else None, headers)
            assert answer.status == 403, (method, path, headers)
            assert "Access-Control-Allow-Origin" not in answer.headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await page.session.ws_connect("http://x/1.0/events", headers={"Origin": "https://evil.example"})
    assert refused.value.status == 403
    assert await page.get("/1.0/planner") == "random"
    await gateway[0].set_config({"core.https_allowed_origin": "https://ui.example"})
    allowed = {"Sec-Fetch-Site": site, "Origin": "https://ui.example"}
    answer = await page.ask("PUT", "/1.0/planner", {"state": "gather"}, allowed)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://ui.example")
    assert (await page.ask("GET", "/1.0/containers", headers=evil)).status == 403
