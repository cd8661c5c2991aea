"""The command palette (ctrl+p): keys, tables and every action of the registry in one searched list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider

from lxdpm_tui.console import keymap
from lxdpm_tui.console.acts import words
from lxdpm_tui.console.screens.helping import usage

if TYPE_CHECKING:
    from lxdpm_tui.console.screens.main import MainScreen


class Offer(NamedTuple):
    """One entry."""

    title: str
    help: str
    run: Callable[[], Any]


def offers(screen: MainScreen) -> Iterator[Offer]:
    """All that can be done, what works on the row under the cursor first."""
    for key in keymap.KEYS:
        if key.id not in ("palette", "next", "previous") and screen.can(key):
            yield Offer(f"{key.label}: {key.help}", f"key {key.shown}", lambda id=key.id: screen.do(id))  # type: ignore[misc]
    for name, plugin in screen.personal.files.plugins.items():
        yield Offer(f":{name}", plugin.help, lambda name=name: screen.typing.run(name))  # type: ignore[misc]
    for name in screen.personal.files.views:
        yield Offer(f":view {name}", "a saved view", lambda name=name: screen.typing.run(f"view {name}"))  # type: ignore[misc]
    for action in screen.session.registry.actions.values():
        yield Offer(f":{usage(action)}", action.help, lambda name=action.name: screen.typing.open(f"{name} "))  # type: ignore[misc]
    for word in words():
        yield Offer(f":{word}", "a word of the console", lambda word=word: screen.typing.open(f"{word} "))  # type: ignore[misc]


class Everything(Provider):
    """All offers of the main screen."""

    @property
    def _offers(self) -> list[Offer]:
        from lxdpm_tui.console.screens.main import MainScreen

        return list(offers(self.screen)) if isinstance(self.screen, MainScreen) else []

    async def discover(self) -> Hits:
        for offer in self._offers:
            yield DiscoveryHit(offer.title, offer.run, help=offer.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for offer in self._offers:
            score = matcher.match(offer.title)
            if score > 0:
                yield Hit(score, matcher.highlight(offer.title), offer.run, help=offer.help)
            elif query.lower() in offer.help.lower():
                yield Hit(0.3, offer.title, offer.run, help=offer.help)
