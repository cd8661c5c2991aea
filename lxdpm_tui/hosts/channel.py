"""An asyncssh channel as an asyncio.Transport, so that any asyncio protocol works over SSH unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Generic

import asyncssh

from lxdpm_tui.hosts.transport import P

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux; elsewhere small answers may take 40 ms longer


def acknowledge_now(connection: asyncssh.SSHClientConnection) -> None:
    """Send the TCP acknowledgement that the kernel holds back, and do not hold back the next ones.

    sshd sends small packets one by one, each only when the one before is acknowledged (see ssh.py).
    """
    if _QUICKACK is not None:
        open_socket = connection.get_extra_info("socket")  # None once the connection is gone
        with contextlib.suppress(OSError):
            if open_socket is not None:
                open_socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class ChannelSession(asyncssh.SSHUNIXSession[bytes]):
    """What asyncssh calls; passes everything on to the transport's protocol."""

    def __init__(self, transport: ChannelTransport[Any], connection: asyncssh.SSHClientConnection) -> None:
        self._transport = transport
        self._connection = connection

    def connection_made(self, chan: asyncssh.SSHUNIXChannel[bytes]) -> None:
        self._transport.attach(chan)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if len(data) < 16384:
            acknowledge_now(self._connection)
        self._transport.protocol.data_received(data)

    def eof_received(self) -> bool:
        if not self._transport.protocol.eof_received():
            self._transport.close()  # asyncio's rule; asyncssh itself would only half-close
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport.lost(exc)

    def pause_writing(self) -> None:
        self._transport.protocol.pause_writing()

    def resume_writing(self) -> None:
        self._transport.protocol.resume_writing()


class ChannelTransport(asyncio.Transport, Generic[P]):
    """The transport that the protocol sees. The channel arrives by attach(), and connection_made is called then."""

    def __init__(self, factory: Callable[[], P]) -> None:
        super().__init__()
        self._factory = factory
        self._channel: asyncssh.SSHUNIXChannel[bytes] | None = None
        self._closing = False
        self._lost = False
        self.protocol: Any = None
        self.made: P

    def attach(self, channel: asyncssh.SSHUNIXChannel[bytes]) -> None:
        self._channel = channel
        self.made = self.protocol = self._factory()
        self.protocol.connection_made(self)

    def lost(self, error: Exception | None) -> None:
        """The channel ended, or we do not wait for its end any more. Tells the protocol once."""
        self._closing = True
        if not self._lost:
            self._lost = True
            # As plain sockets do it: what is not an OSError would pass unrecognised through HTTP code.
            self.protocol.connection_lost(error if error is None or isinstance(error, OSError) else _as_reset(error))

    # -- asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default if self._channel is None else self._channel.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._open.close()

    def abort(self) -> None:
        """Ends at once on this side: a hung sshd would answer the channel's close only when it wakes up."""
        self._closing = True
        if self._channel is not None and not self._lost:
            self._channel.abort()
            asyncio.get_running_loop().call_soon(self.lost, None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing and data:
            self._open.write(data if isinstance(data, bytes) else bytes(data))

    def write_eof(self) -> None:
        if not self._closing:
            self._open.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def is_reading(self) -> bool:
        return not self._closing and not self._paused

    _paused = False

    def pause_reading(self) -> None:
        if not self._closing:
            self._paused = True
            self._open.pause_reading()

    def resume_reading(self) -> None:
        if not self._closing:
            self._paused = False
            self._open.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._open.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return 0 if self._channel is None else self._channel.get_write_buffer_size()

    @property
    def _open(self) -> asyncssh.SSHUNIXChannel[bytes]:
        assert self._channel is not None, "used before connection_made"
        return self._channel


def _as_reset(error: Exception) -> ConnectionResetError:
    reset = ConnectionResetError(f"ssh: {error}")
    reset.__cause__ = error
    return reset
