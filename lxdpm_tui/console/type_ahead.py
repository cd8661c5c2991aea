"""Keys one at a time: the next is handed on when the one before has done what it does.

Textual hands all keys that came in one read to the widget that has the focus at that moment. Over a slow link that
breaks what a person typed ahead: in `/web` the letters would go to the table (where they are acts!) and not to the
filter that the slash opens. Here each key waits until the one before went all the way up, and until a dialog that it
opened can take keys.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.dom import DOMNode
from textual.events import Key, Paste

PATIENCE = 1.0  # seconds that one key may hold up the next


class TypeAhead:
    """A queue of keys in front of an app. `forward` hands one on, as the app would have done."""

    def __init__(self, app: App[int], forward: Callable[[Key | Paste], Awaitable[None]]) -> None:
        self._app = app
        self._forward = forward
        self._waiting: deque[Key | Paste] = deque()
        self._working: asyncio.Task[None] | None = None

    def take(self, event: Key | Paste) -> None:
        """A key came in."""
        self._waiting.append(event)
        if self._working is None:
            self._begin()

    def _begin(self) -> None:
        self._working = asyncio.create_task(self._work(), name="keys")
        self._working.add_done_callback(self._ended)

    def close(self) -> None:
        """No more keys are wanted."""
        self._waiting.clear()
        if self._working is not None:
            self._working.cancel()

    def _ended(self, working: asyncio.Task[None]) -> None:
        self._working = None
        if not working.cancelled() and (error := working.exception()) is not None:
            self._app.call_later(_raise, error)  # in the app, which knows what to do with it
        elif self._waiting:
            self._begin()

    async def _work(self) -> None:
        while self._waiting:
            event = self._waiting.popleft()
            target = self._app.focused or self._app.screen
            await self._forward(event)
            if isinstance(event, Key) and target.check_consume_key(event.key, event.character):
                continue  # a letter in a field: the next one belongs there too
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._settled(target)

    async def _settled(self, target: DOMNode) -> None:
        """Until everything that the key was handed to is through with it, and the screen on top can take keys."""
        for node in (*target.ancestors_with_self,):
            done = asyncio.Event()
            if node.is_running and node.call_later(done.set):
                await done.wait()
        for _ in range(3):  # a deed begins in a task of its own: let it open its dialog
            await asyncio.sleep(0)
        while not self._ready():  # noqa: ASYNC110  (nothing tells when)
            await asyncio.sleep(0.005)

    def _ready(self) -> bool:
        screen = self._app.screen
        return screen.is_running and screen.is_mounted and (screen.focused is not None or not screen.focus_chain)


def _raise(error: BaseException) -> None:
    raise error
