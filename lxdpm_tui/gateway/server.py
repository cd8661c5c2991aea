"""The gateway: listens, routes, and turns every refusal into LXD's own error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, routes
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.events import Hub
from lxdpm_tui.gateway.routing import MethodUnknown, Router, collapse
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.manager import Manager, caller
from lxdpm_tui.store import StoreError

log = logging.getLogger(__name__)

LIMIT = 1 << 20  # bytes of a request line or header field; LXD takes as much
SOCKET_MODE = 0o660
COLLECTIONS = ("instances", "containers", "virtual-machines")


class Gateway:
    """LXD's API over one manager. Use `async with Gateway.serve(...)`."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.hub = Hub(manager)
        self._router = Router(routes.table())

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, manager: Manager, socket: Path) -> AsyncIterator[Gateway]:
        """Serve on a unix socket, trusted by its mode. Raises OSError naming the path when it cannot be bound."""
        gateway = cls(manager)
        server = web.Server(
            gateway.handle,
            handler_cancellation=True,
            max_line_size=LIMIT,
            max_field_size=LIMIT,
            auto_decompress=False,
            access_log=None,
        )
        runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await runner.setup()
        try:
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

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to its answer; nothing escapes but a cancellation."""
        caller.set("unix")
        raw, _, _ = request.raw_path.partition("?")
        path = collapse(raw)
        try:
            match = self._router.match(request.method, path)
            if match is None:
                return answers.error(404, "not found")
            collection = unquote(path.split("/")[2]) if path.count("/") > 1 else ""
            call = Call(
                gateway=self,
                request=request,
                path=path,
                vars=match.vars,
                query=request.query,
                caller="unix",
                collection=collection if collection in COLLECTIONS else "instances",
            )
            return await match.handler(call)
        except MethodUnknown:
            return answers.error(501, "not implemented")
        except ActionError as error:
            return _refused(request, error.code, error.text)
        except ApiError as error:
            return _refused(request, error.code, error.text)
        except HostError as error:
            return _refused(request, 503, str(error))
        except StoreError as error:
            log.error("%s %s: %s", request.method, path, error)
            return _refused(request, 500, str(error))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            log.exception("%s %s", request.method, path)
            return _refused(request, 500, "internal error, see the manager's log")


def _refused(request: web.BaseRequest, code: int, text: str) -> web.StreamResponse:
    """An error answer, unless an answer is already under way: then the connection breaks, which a client sees."""
    if request.writer.output_size:
        raise ConnectionResetError(text)
    return answers.error(code, text)


def _clear(socket: Path) -> None:
    """Remove what a killed manager left; the state directory's lock says that nobody listens there any more."""
    if socket.is_socket():
        socket.unlink()
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
