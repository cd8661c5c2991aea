"""The terminal of this process, handed to a program elsewhere: raw, without blocking the event loop, and put back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
import tty
from collections import deque
from types import FrameType
from typing import Any

CHUNK = 1 << 16  # bytes read at once
AHEAD = 1 << 18  # bytes typed or pasted that wait here; then the terminal is not read


class RawTerminal:
    """The terminal in raw mode while the `with` lasts, in a running event loop.

    Its device is opened anew where that is allowed, so that not blocking concerns us alone: whoever else has the
    terminal (the shell before us) keeps its own mode. Leaving throws away what was typed and not read: letters meant
    for a shell that ended must not act elsewhere.
    """

    def __init__(self, source: int = 0, sink: int = 1) -> None:
        """source, sink: file descriptors of the terminal."""
        self._source, self._sink = source, sink
        self._typed: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._gone = False
        self.resized = asyncio.Event()

    def __enter__(self) -> RawTerminal:
        self._loop = asyncio.get_running_loop()
        self._before = termios.tcgetattr(self._source)
        self._input, _ = _opened(self._source, os.O_RDONLY)
        self._output, self._waits = _opened(self._sink, os.O_WRONLY)
        tty.setraw(self._source, termios.TCSANOW)
        self._winch: Any = signal.signal(signal.SIGWINCH, self._changed)
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._input)
        signal.signal(signal.SIGWINCH, self._winch)
        with contextlib.suppress(termios.error):  # the terminal is gone: there is nothing to put back
            termios.tcflush(self._source, termios.TCIFLUSH)
            termios.tcsetattr(self._source, termios.TCSANOW, self._before)
        os.close(self._input)
        os.close(self._output)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 and 24 where the terminal does not say."""
        try:
            columns, rows = os.get_terminal_size(self._sink)
        except OSError:
            columns = rows = 0
        return columns or 80, rows or 24

    async def read(self) -> bytes:
        """What was typed next; b"" when the terminal is gone."""
        while not self._typed and not self._gone:
            self._arrived.clear()
            await self._arrived.wait()
        data = b"".join(self._typed)
        self._typed.clear()
        if not self._gone:
            self._listen()
        return data

    async def write(self, data: bytes) -> None:
        """Show it; waits while the terminal takes no more. Nothing when the terminal is gone."""
        view = memoryview(data)
        while view and not self._gone:
            try:
                if self._waits:
                    done = await asyncio.to_thread(os.write, self._output, view)
                else:
                    done = os.write(self._output, view)
            except BlockingIOError:
                await self._writable()
            except OSError:
                self._end()
            else:
                view = view[done:]

    def write_now(self, data: bytes) -> None:
        """As much of it as the terminal takes at once: the last words, also when nobody reads them."""
        with contextlib.suppress(OSError):  # full or gone
            os.write(self._output, data)

    async def _writable(self) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(self._output, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(self._output)

    def _listen(self) -> None:
        self._loop.add_reader(self._input, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._input, CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._typed.append(data)
        self._arrived.set()
        if sum(map(len, self._typed)) > AHEAD:
            self._loop.remove_reader(self._input)

    def _end(self) -> None:
        self._gone = True
        self._loop.remove_reader(self._input)
        self._arrived.set()

    def _changed(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.resized.set)


def _opened(descriptor: int, flags: int) -> tuple[int, bool]:
    """The terminal once more, and whether writing to it may block (it could not be opened anew)."""
    try:
        return os.open(os.ttyname(descriptor), flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), False
    except OSError:
        return os.dup(descriptor), True
