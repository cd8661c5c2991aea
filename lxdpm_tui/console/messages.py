"""What was said to the person: the line at the bottom, and all of it to read again. No widgets."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "warn", "bad"]
SHOWN_FOR = 8.0  # seconds that a plain message stays


@dataclass(frozen=True, slots=True)
class Message:
    """when: seconds since the epoch."""

    when: float
    severity: Severity
    text: str


@dataclass(slots=True)
class Messages:
    """The last things said. A failure stays in the line until it was seen."""

    log: deque[Message] = field(default_factory=lambda: deque(maxlen=500))
    unseen: list[Message] = field(default_factory=list)

    def say(self, when: float, severity: Severity, text: str) -> None:
        message = Message(when, severity, " ".join(text.split()))
        self.log.append(message)
        if severity == "bad":
            self.unseen.append(message)

    def seen(self) -> bool:
        """The failures were read. Whether there were any."""
        had = bool(self.unseen)
        self.unseen.clear()
        return had

    def current(self, now: float) -> Message | None:
        """What the line says: the newest unseen failure, else the newest word that is still fresh."""
        if self.unseen:
            last = self.unseen[-1]
            others = len(self.unseen) - 1
            return Message(last.when, "bad", f"{last.text}  (and {others} more: !)") if others else last
        if self.log and now - self.log[-1].when < SHOWN_FOR and self.log[-1].severity != "bad":
            return self.log[-1]
        return None
