from __future__ import annotations

from lxdpm_tui.console import messages as module
from lxdpm_tui.console.messages import Messages


def test_a_plain_word_goes_by_itself() -> None:
    messages = Messages()
    messages.say(100.0, "info", "done")
    assert messages.current(100.0 + module.SHOWN_FOR - 1) is not None
    assert messages.current(100.0 + module.SHOWN_FOR + 1) is None


def test_a_failure_stays_until_it_was_seen() -> None:
    messages = Messages()
    messages.say(100.0, "bad", "web-1\nfailed")
    messages.say(101.0, "info", "something else")
    current = messages.current(9999.0)
    assert current is not None
    assert current.text == "web-1 failed"
    messages.say(102.0, "bad", "again")
    current = messages.current(9999.0)
    assert current is not None
    assert current.text == "again  (and 1 more: !)"
    assert messages.seen()
    assert messages.current(9999.0) is None
    assert not messages.seen()
    assert len(messages.log) == 3
