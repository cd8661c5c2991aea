"""`--web`: the console in a browser on this machine, by textual-serve, over one manager that serves beside it.

Each browser tab is a console process of its own, attached to that manager. It listens on a loopback address alone, and
whoever opens it must bring the secret of the URL that is printed: other users of the machine, and pages of other
origins in the same browser, get nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import ipaddress
import secrets
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lxdpm_tui.cli.run import Failure

if TYPE_CHECKING:
    from textual_serve.server import Server

DEFAULT = ("127.0.0.1", 8444)
COOKIE = "lxdpm-web"


def address_of(text: str) -> tuple[str, int]:
    """Where to listen: "PORT", "ADDRESS:PORT" or "" for the default. Raises Failure for what is not loopback."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or DEFAULT[0]
    port = port or str(DEFAULT[1])
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise Failure(f"--web: expected PORT or ADDRESS:PORT, not {text!r}", 2)
    if not loopback:
        raise Failure(
            f"--web listens on this machine only, not on {host}: from elsewhere go by `ssh -L {port}:127.0.0.1:{port}`",
            2,
        )
    return host, int(port)


def console_command(arguments: argparse.Namespace, socket: Path) -> list[str]:
    """The command line of the console in a tab."""
    command = [sys.executable, "-m", "lxdpm_tui", "--connect", f"unix://{socket}"]
    for option, value in (("--view", arguments.view), ("--filter", arguments.view_filter),
                          ("--project", arguments.view_project)):  # fmt: skip
        if value:
            command += [option, value]
    return command if arguments.web_writable else [*command, "--read-only"]


class Gate:
    """Lets in who has the secret, from our own page."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.secret = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"{self.origin}/?key={self.secret}"

    def middleware(self) -> Middleware:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.host != self.origin.partition("//")[2]:  # a foreign name that was made to lead here
                raise web.HTTPForbidden(text="this is not the address that was printed\n")
            if request.headers.get("Origin", self.origin) != self.origin:
                raise web.HTTPForbidden(text="not from another page\n")
            if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self.secret.encode()):
                return await handler(request)
            if hmac.compare_digest(request.query.get("key", "").encode(), self.secret.encode()):
                home = web.HTTPSeeOther("/")  # so that the secret is in no history and no Referer
                home.set_cookie(COOKIE, self.secret, httponly=True, samesite="Strict")
                raise home
            raise web.HTTPForbidden(text="open the address that `lxdpm-tui --web` printed\n")

        return gate


def _site(command: str, host: str, port: int) -> Server:
    try:
        from textual_serve.server import Server
    except ImportError as error:
        raise Failure("--web needs textual-serve: pip install 'lxdpm-tui[web]'", 1) from error

    class Site(Server):
        async def on_startup(self, app: web.Application) -> None:
            """It would print an address without the secret."""

        async def on_shutdown(self, app: web.Application) -> None:
            """And a farewell."""

    shown = f"[{host}]" if ":" in host else host
    return Site(command, host, port, title="lxdpm-tui", public_url=f"http://{shown}:{port}")


@contextlib.asynccontextmanager
async def serving_web(arguments: argparse.Namespace, socket: Path) -> AsyncIterator[str]:
    """The site over the manager that serves on that socket; gives the URL to open. Raises Failure."""
    host, port = address_of(arguments.web)
    site = _site(shlex.join(console_command(arguments, socket)), host, port)
    gate = Gate(site.public_url)
    app = await site._make_app()
    app.middlewares.append(gate.middleware())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise Failure(f"--web: cannot listen on {host}:{port}: {error.strerror or error}") from error
        yield gate.url
    finally:
        await asyncio.shield(runner.cleanup())
