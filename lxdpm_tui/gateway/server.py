"""The gateway: listens, routes, and turns every refusal into LXD's own error."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import os
import socket as socket_module
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from cryptography import x509

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.actions.trust import Trust
from lxdpm_tui.gateway import access, answers, browser, routes
from lxdpm_tui.gateway.call import UNIX, Call, Client
from lxdpm_tui.gateway.caller import requestor_of
from lxdpm_tui.gateway.events import Hub
from lxdpm_tui.gateway.extensions import Advertised
from lxdpm_tui.gateway.openings import Openings
from lxdpm_tui.gateway.routing import Match, MethodUnknown, Router, collapse
from lxdpm_tui.gateway.secrets import ImageSecrets, UploadSecrets
from lxdpm_tui.gateway.splice import Hijacked
from lxdpm_tui.hosts.requestor import requestor
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.manager import Manager, caller
from lxdpm_tui.store import StoreError

log = logging.getLogger(__name__)

LIMIT = 1 << 20  # bytes of a request line or header field; LXD takes as much
READ_AHEAD = 1 << 18  # bytes of a body that are read before somebody wants them
SOCKET_MODE = 0o660
START = 5.0  # seconds
CONFIG = "gateway.config"  # setting: JSON of the keys of /1.0 that are its own
ADDRESSES = "gateway.addresses"  # setting: where it last listened, for tokens made while it does not run
COLLECTIONS = ("instances", "containers", "virtual-machines")


class Gateway:
    """LXD's API over one manager. Use `async with Gateway.serve(...)`.

    pending: (collection, project, name) -> host -> body, of networks and pools in the first of LXD's two phases.
    claimed: (project, path) of volumes and buckets that are being made.
    remembered: (collection, host, project) -> (project, row) of each object, for lists while that host is down.
    """

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.hub = Hub(manager)
        self.advertised = Advertised()
        self.trust = Trust(manager.store)
        self.addresses: tuple[str, ...] = ()  # "host:port" of the HTTPS listener
        self.certificate = ""  # PEM of what it shows
        self.config: dict[str, str] = {}  # the gateway's own keys of /1.0
        self.ui: Path | None = None  # a web front end's files
        self.pending: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
        self.claimed: set[tuple[str, str]] = set()
        self.secrets = ImageSecrets()
        self.uploads = UploadSecrets()
        self.openings = Openings()
        self.remembered: dict[tuple[str, str, str], list[tuple[str, dict[str, Any]]]] = {}
        self.router = Router(routes.table())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hex; "" without a listener."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate) if self.certificate else b""
        return hashlib.sha256(der).hexdigest() if der else ""

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(
        cls, manager: Manager, socket: Path, listen: tuple[str, int] | None = None, ui: Path | None = None
    ) -> AsyncIterator[Gateway]:
        """Serve on a unix socket, trusted by its mode, and on HTTPS when `listen` (host, port) is given.

        Before, every host gets START seconds to be read: whoever asks first is not told of an empty fleet.
        Raises OSError when either cannot be bound.
        """
        gateway = cls(manager)
        await manager.fleet.until_known(START)
        await gateway.trust.load()
        gateway.config = json.loads(await manager.store.get_setting(CONFIG) or "{}")
        gateway.ui = ui
        server = web.Server(
            gateway.handle,
            handler_cancellation=True,
            max_line_size=LIMIT,
            max_field_size=LIMIT,
            auto_decompress=False,
            read_bufsize=READ_AHEAD,
            access_log=None,
            logger=_http_log(),
        )
        runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await runner.setup()
        try:
            if listen is not None:
                await gateway._listen(runner, *listen)
            _clear(socket)
            site = web.UnixSite(runner, socket)
            before = os.umask(0o117)  # never open to others, not even for a moment
            try:
                await site.start()
            finally:
                os.umask(before)
            os.chmod(socket, SOCKET_MODE)
            yield gateway
        finally:
            gateway.hub.close()
            await runner.cleanup()
            with contextlib.suppress(FileNotFoundError):
                socket.unlink()

    async def set_config(self, config: dict[str, str]) -> None:
        """Keep the gateway's own keys of /1.0."""
        await self.manager.store.set_setting(CONFIG, json.dumps(config))
        self.config = config

    async def _listen(self, runner: web.ServerRunner, host: str, port: int) -> None:
        from lxdpm_tui.gateway.tls import ServerContext, ensure_certificate

        names = () if host in ("", "0.0.0.0", "::") else (host,)
        cert, key = await asyncio.to_thread(ensure_certificate, self.manager.paths.state_dir, names)
        self.certificate = cert.read_text()
        site = web.TCPSite(runner, host, port, ssl_context=ServerContext(cert, key), backlog=1024)
        await site.start()
        bound = site._server.sockets[0].getsockname() if isinstance(site._server, asyncio.Server) else (host, port)
        self.addresses = tuple(_reached_by(str(bound[0]), int(bound[1])))
        await self.manager.store.set_setting(ADDRESSES, "\n".join(self.addresses))

    def _client(self, request: web.BaseRequest) -> Client:
        """Who calls: the unix socket is trusted by its mode, certificates by the trust store."""
        transport = request.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        if tls is None:
            return UNIX
        der = tls.getpeercert(True) or b""
        fingerprint = hashlib.sha256(der).hexdigest() if der else ""
        row = self.trust.get(fingerprint)
        if row is None or not in_its_time(der):
            return Client("", "tls", trusted=False, certificate=der)
        projects = frozenset(row.projects) if row.restricted else None
        return Client(fingerprint, "tls", True, der, projects, row.read_only)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to its answer; nothing escapes but a cancellation."""
        cors = browser.cors_headers(request, self.config)
        path = collapse(request.raw_path.partition("?")[0])
        if request.method == "OPTIONS":
            return web.Response(headers=cors)
        try:
            response = await self._answer(request, path)
        except MethodUnknown:
            response = answers.error(501, "not implemented")
        except (ActionError, ApiError) as error:
            response = _refused(request, error.code, error.text)
        except HostError as error:
            response = _refused(request, 503, str(error))
        except web.HTTPException as error:  # a bad handshake of a websocket, for one
            response = _refused(request, error.status, error.text or error.reason)
        except StoreError as error:
            log.error("%s %s: %s", request.method, path, error)
            response = _refused(request, 500, str(error))
        except ConnectionError as error:  # the client left in the middle of its answer
            log.debug("%s %s: %s", request.method, path, error)
            response = _break(request)
        except Exception:
            log.exception("%s %s", request.method, path)
            response = _refused(request, 500, "internal error, see the manager's log")
        if cors and not response.prepared:
            response.headers.update(cors)
        return response

    def _page(self, request: web.BaseRequest, path: str) -> web.StreamResponse | None:
        """What is there to be shown at a path, to pages and links from anywhere: files of the front end, no data."""
        if self.ui is None or request.method not in ("GET", "HEAD"):
            return None
        if (path == "/" and browser.wants_page(request)) or request.path == "/ui":
            return web.Response(status=302, headers={"Location": "/ui/"})
        if path == "/ui" or path.startswith("/ui/"):
            return browser.ui_file(self.ui, path.removeprefix("/ui"))
        return None

    async def _answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        client = self._client(request)
        caller.set(client.name or "untrusted")
        requestor.set(requestor_of(request, client))
        if (page := self._page(request, path)) is not None:
            return page
        browser.check_origin(request, self.config)
        match = self._match(request.method, path, client)
        if match is None:
            return answers.error(404, "not found")
        access.check(match.route, client, request)
        collection = unquote(path.split("/")[2]) if path.count("/") > 1 else ""
        call = Call(
            gateway=self,
            request=request,
            path=path,
            vars=match.vars,
            query=request.query,
            client=client,
            collection=collection if collection in COLLECTIONS else "instances",
        )
        await access.check_owner(call, match.route)
        return await match.route.handler(call)

    def _match(self, method: str, path: str, client: Client) -> Match | None:
        """The route; None for an unknown path. Raises MethodUnknown, and ActionError 403 for strangers in its place."""
        try:
            return self.router.match(method, path)
        except MethodUnknown:
            if not client.trusted:
                raise ActionError(access.REFUSED, 403) from None
            raise


def _http_log() -> logging.Logger:
    """What aiohttp logs of a connection. Requests that are no HTTP are not our errors: a line each, no traceback."""
    http = logging.getLogger(f"{__name__}.http")
    if not http.filters:
        http.addFilter(_is_ours)
    return http


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        log.info("a bad request: %.200s", error.message)
        return False
    return True


def in_its_time(der: bytes) -> bool:
    """Whether the certificate is valid today; the handshake does not look."""
    first, last = _validity(der)
    return first <= datetime.now(UTC) <= last


@functools.lru_cache(maxsize=1024)  # every request asks, and parsing costs a tenth of it
def _validity(der: bytes) -> tuple[datetime, datetime]:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _reached_by(host: str, port: int) -> list[str]:
    """The addresses that a listener on host can be reached by, as "host:port"."""
    if host not in ("0.0.0.0", "::"):
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    names = {info[4][0] for info in socket_module.getaddrinfo(socket_module.gethostname(), None)}
    return [f"[{name}]:{port}" if ":" in str(name) else f"{name}:{port}" for name in sorted(map(str, names))]


def _refused(request: web.BaseRequest, code: int, text: str) -> web.StreamResponse:
    """An error answer, unless an answer is already under way: then the connection breaks, which a client sees."""
    if request.writer.output_size:
        log.warning("%s %s broke off: %s", request.method, request.path, text)
        return _break(request)
    return answers.error(code, text)


def _break(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection without a word more."""
    if request.transport is not None:
        request.transport.abort()
    return Hijacked()


def _clear(socket: Path) -> None:
    """Remove what a killed manager left; the state directory's lock says that nobody listens there any more."""
    if socket.is_socket():
        socket.unlink()
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
