"""How many commands are opened at the same time: each whole within its few seconds, rather than all of them late.

A daemon waits 5 s for the sockets of a command, from its answer on. When hundreds are asked for at once on a busy
machine, all would get their sockets one by one, and none in time. So a command is sent to its host when fewer than
AT_ONCE are still being opened; the others wait before their time begins. Nobody waits for clients that do not connect.
"""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 24
STILL = 1.0  # seconds without a new connection after which nobody is kept waiting
WINDOW = 5.0  # seconds that daemons wait for the sockets of a command


class Openings:
    """Of one gateway. First `turn`, then either `begun` or `give_back`."""

    def __init__(self) -> None:
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._missing: dict[str, int] = {}  # operation -> sockets that are not connected yet
        self._still: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Wait until one more may be opened."""
        if self._taken < AT_ONCE:
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if self._still is None:
            self._watch()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def begun(self, operation: str, sockets: int) -> None:
        """Its host has answered: so many sockets belong to it. The turn ends when they are connected, or too late."""
        self._missing[operation] = sockets
        asyncio.get_running_loop().call_later(WINDOW, self._end, operation)

    def connected(self, operation: str) -> None:
        """One more socket of that operation. Unknown operations are ignored."""
        if operation not in self._missing:
            return
        self._missing[operation] -= 1
        if self._waiting:
            self._watch()
        if self._missing[operation] <= 0:
            self._end(operation)

    def give_back(self) -> None:
        """The turn ends: nothing is to be opened."""
        self._taken -= 1
        while self._waiting and self._taken < AT_ONCE:
            self._next()

    def _end(self, operation: str) -> None:
        if self._missing.pop(operation, None) is not None:
            self.give_back()

    def _next(self) -> None:
        turn = self._waiting.popleft()
        if not turn.done():
            self._taken += 1
            turn.set_result(None)

    def _watch(self) -> None:
        if self._still is not None:
            self._still.cancel()
        self._still = asyncio.get_running_loop().call_later(STILL, self._let_all)

    def _let_all(self) -> None:
        self._still = None
        while self._waiting:
            self._next()
