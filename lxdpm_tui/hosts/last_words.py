"""What the other side said before it closed, when it is our own writing that finds out.

A daemon closes a command's sockets right after its last output. Whoever still writes to one then, an answer to a ping
for one, gets a broken pipe, and asyncio ends the connection with all that was not read yet.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

from lxdpm_tui.hosts.kernel_relay import is_plain

_PIECE = 1 << 18  # bytes


def unread(transport: asyncio.Transport | None, failure: BaseException | None) -> Iterator[bytes]:
    """The bytes that wait on a connection of which writing failed. Only in connection_lost, where its socket is open.

    Nothing of a connection by TLS or SSH: there the socket has no plain bytes.
    """
    if transport is None or not isinstance(failure, ConnectionError) or not is_plain(transport):
        return
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as copy:
        copy.setblocking(False)
        try:
            while data := copy.recv(_PIECE):
                yield data
        except OSError:
            return  # nothing more waits there, or the other side broke off too
