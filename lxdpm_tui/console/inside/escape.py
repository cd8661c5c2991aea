"""What passes between a person's terminal and a remote one, looked at without changing it. No I/O.

`Escape` finds `~.` in what is typed; `Leftovers` knows which modes the remote side switched on and never off.
"""

from __future__ import annotations

import re

_CANCEL = b"\x18"  # ends a control sequence that was cut off
_SEQUENCE = re.compile(rb"\x1b(?:\[\?([\d;]{1,64})([hl])|\[([\d;]{0,16})r|([=>c])|\[([<>=])([\d;]{0,16})u)")
_PARTIAL = re.compile(rb"\x1b(?:\[[?<>=]?[\d;]{0,64})?\Z")
_ON_BY_DEFAULT = {b"7", b"25"}  # line wrap, cursor
_NEVER = {b"3", b"12", b"2026"}  # 80/132 columns, blinking, synchronised output: resets itself or would resize


class Escape:
    """Finds a tilde and a dot at the beginning of a line, as ssh does. `~~` there is one tilde."""

    def __init__(self) -> None:
        self._at_start = True
        self._held = False

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """(what to pass on, whether to leave). After leaving nothing more is to be fed."""
        out = bytearray()
        for letter in typed:
            if self._held:
                self._held = False
                if letter == 0x2E:
                    return bytes(out), True
                out.append(0x7E)
                if letter == 0x7E:
                    self._at_start = False
                    continue
            elif self._at_start and letter == 0x7E:
                self._held = True
                continue
            out.append(letter)
            self._at_start = letter in b"\r\n"
        return bytes(out), False


class Leftovers:
    """Remembers the terminal modes that differ from the ordinary ones, to put them back when a program was cut off."""

    def __init__(self) -> None:
        self._modes: dict[bytes, bool] = {}
        self._region = False
        self._keypad = False
        self._kitty = 0
        self._tail = b""

    def feed(self, shown: bytes) -> None:
        """Look at output, in pieces of any size."""
        if self._tail:
            shown, self._tail = self._tail + shown, b""
        if b"\x1b" not in shown:
            return
        for match in _SEQUENCE.finditer(shown):
            modes, switch, region, word, kitty, _ = match.groups()
            if modes is not None:
                for mode in modes.split(b";"):
                    self._modes[mode] = switch == b"h"
            elif region is not None:
                self._region = region not in (b"", b";", b"0;0")
            elif kitty is not None:
                self._kitty += 1 if kitty == b">" else -1 if kitty == b"<" else 0
            elif word == b"c":
                self._modes.clear()
                self._region, self._keypad, self._kitty = False, False, 0
            else:
                self._keypad = word == b"="
        partial = _PARTIAL.search(shown, max(0, len(shown) - 80))
        self._tail = partial[0] if partial else b""

    def undo(self, *, cut: bool = False) -> bytes:
        """What puts everything back. cut: output was stopped anywhere, maybe within a sequence."""
        out = [_CANCEL] if cut else []
        changed = {
            mode: on for mode, on in self._modes.items() if mode not in _NEVER and on != (mode in _ON_BY_DEFAULT)
        }
        if self._kitty > 0:
            out.append(b"\x1b[<%du" % self._kitty)
        if self._region:
            out.append(b"\x1b7\x1b[r\x1b8")
        if self._keypad:
            out.append(b"\x1b>")
        screens = (b"47", b"1047", b"1049")  # the alternate screen last: the others belong to it
        for mode, on in sorted(changed.items(), key=lambda item: item[0] in screens):
            out.append(b"\x1b[?%s%s" % (mode, b"l" if on else b"h"))
        if cut or changed:
            out.append(b"\x1b[0m\x0f\x1b(B")
        return b"".join(out)
