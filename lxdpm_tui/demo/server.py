"""The HTTP side of one simulated daemon, on a unix socket, and the faults that can be put on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from lxdpm_tui.demo import answers, api_admin, api_images, api_instances, api_server, api_storage
from lxdpm_tui.demo.answers import Call, Handler
from lxdpm_tui.demo.state import State
from lxdpm_tui.demo.variants import Problem

_LONGEST_LINE = 1 << 20
# What a daemon without the extension does not know the path of.
_SINCE = {
    "metrics": "metrics",
    "warnings": "warnings",
    "network-acls": "network_acl",
    "network-zones": "network_dns",
}
_INSTANCE_KINDS = frozenset({"containers", "virtual-machines"})

Methods = dict[str, Handler]


class Router:
    """Finds the handlers of a path. {name} stands for one segment, {name...} at the end for all the rest."""

    def __init__(self, *tables: dict[str, Methods]) -> None:
        self._fixed: dict[str, Methods] = {}
        self._patterns: list[tuple[re.Pattern[str], Methods]] = []
        for table in tables:
            for pattern, methods in table.items():
                if "{" not in pattern:
                    self._fixed[pattern] = methods
                    continue
                expression = re.sub(r"\{(\w+)\.\.\.\}", r"(?P<\1>.+)", pattern)
                expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", expression)
                self._patterns.append((re.compile(expression), methods))

    def find(self, path: str) -> tuple[Methods, dict[str, str]] | None:
        if path in self._fixed:
            return self._fixed[path], {}
        for pattern, methods in self._patterns:
            if found := pattern.fullmatch(path):
                return methods, {name: unquote(value) for name, value in found.groupdict().items()}
        return None


_ROUTER = Router(api_server.ROUTES, api_instances.ROUTES, api_images.ROUTES, api_admin.ROUTES, api_storage.ROUTES)


@dataclass(slots=True)
class _Failing:
    method: str
    path: re.Pattern[str]
    problem: Problem
    count: int


class SimDaemon:
    """One daemon at one socket path. Its data outlives stop(); what it was doing does not.

    state: what it knows, or what makes that when it is asked for the first time: a thousand of them start at once.
    """

    def __init__(self, state: State | Callable[[], State], path: Path) -> None:
        self._state = state
        self.path = path
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None
        self._failing: list[_Failing] = []
        self._delay = 0.0

    @property
    def state(self) -> State:
        if not isinstance(self._state, State):
            self._state = self._state()
        return self._state

    @property
    def awoken(self) -> bool:
        """Whether somebody asked it for anything yet."""
        return isinstance(self._state, State)

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def up(self) -> bool:
        return self._runner is not None

    # -- life

    async def start(self) -> None:
        """Listen. Idempotent."""
        if self._runner is not None:
            return
        limits = {"max_line_size": _LONGEST_LINE, "max_field_size": _LONGEST_LINE}
        self._server = web.Server(self._handle, access_log=None, handler_cancellation=True, **limits)  # type: ignore[arg-type]
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def stop(self, *, gone: bool = False) -> None:
        """As if killed: connections break, the socket refuses, operations are lost, instances run on.

        gone: the socket file goes too. Idempotent.
        """
        if self._runner is None or self._server is None:
            return
        runner, self._runner = self._runner, None
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        if self.awoken:
            await self.state.operations.kill()
        await runner.cleanup()
        if self.awoken:
            for instance in self.state.instances():
                instance.busy = ""
        if gone:
            self.path.unlink(missing_ok=True)

    # -- faults

    def hang(self) -> None:
        """Accept connections and stay silent, on open ones and event streams too."""
        self.state.awake.clear()

    def resume(self) -> None:
        """Undo hang(): everything that waited is answered now."""
        if self.awoken:
            self.state.awake.set()

    def fail_next(self, method: str, path: str, code: int, text: str, count: int = 1) -> None:
        """Answer the next `count` requests with that method ("" = any) and a matching path with an error.

        path: a regular expression, searched for in path and query.
        """
        self._failing.append(_Failing(method, re.compile(path), Problem(code, text), count))

    def delay(self, seconds: float) -> None:
        """Make each answer that much later; 0 = off."""
        self._delay = seconds

    def heal(self) -> None:
        """Undo every fault but stop()."""
        self.resume()
        self._failing.clear()
        self._delay = 0.0

    # -- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.state.awake.wait()
        if self._delay:
            await asyncio.sleep(self._delay)
        try:
            self._fail(request)
            answer = await self._dispatch(request)
        except Problem as problem:
            answer = answers.error(problem)
        await self.state.awake.wait()
        return answer

    def _fail(self, request: web.BaseRequest) -> None:
        for failing in self._failing:
            if failing.method in ("", request.method) and failing.path.search(request.path_qs):
                failing.count -= 1
                if failing.count == 0:
                    self._failing.remove(failing)
                raise failing.problem

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        kind = "instances"
        parts = path.split("/", 3)
        if parts[:2] == ["", "1.0"] and len(parts) > 2 and parts[2] in _INSTANCE_KINDS:
            if not self.state.variant.containers_path:
                raise Problem(404, "not found")
            kind = parts[2]
            path = "/".join(["", "1.0", "instances", *parts[3:]])
        found = _ROUTER.find(path)
        needed = _SINCE.get(parts[2]) if len(parts) > 2 else None
        if found is None or (needed and not self.state.variant.has(needed)):
            raise Problem(404, "not found")
        if request.method == "OPTIONS":
            return web.Response()
        methods, variables = found
        handler = methods.get(request.method)
        if handler is None:
            raise Problem(501, "not implemented")
        return await handler(Call(state=self.state, request=request, parts=variables, kind=kind))
