"""A scrolling widget drawn line by line, with the console's named styles."""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.scroll_view import ScrollView

from lxdpm_tui.console.terminal_io import part_style


class Painted(ScrollView):
    """Base of the Line API widgets: `style` gives the style of a name, on the cursor line or off it.

    The names are classes of parts in the style sheet, but no COMPONENT_CLASSES: Textual works all of those out anew for
    each widget whenever its classes or its focus change, and that was half of the time to the first paint.
    """

    DEFAULT_CSS = """
    Painted {
        background: $background;
        color: $foreground;
        scrollbar-size: 1 1;
        scrollbar-gutter: stable;
        overflow-x: hidden;
        & > .painted--good { color: $text-success; }
        & > .painted--bad { color: $text-error; text-style: bold; }
        & > .painted--warn { color: $text-warning; }
        & > .painted--busy { color: $text-accent; text-style: bold; }
        & > .painted--cold { color: $text-secondary; }
        & > .painted--dim { color: $text-muted; }
        & > .painted--accent { color: $primary; text-style: bold; }
        & > .painted--stale { color: $text-disabled; text-style: italic; }
        & > .painted--label { color: $text-muted; }
        & > .painted--header { color: $text-muted; text-style: bold; }
        & > .painted--sorted { color: $primary; text-style: bold; }
        & > .painted--mark { color: $warning; text-style: bold; }
        & > .painted--cursor { background: $block-cursor-background; }
        & > .painted--cursor-blurred { background: $surface; }
        &:nocolor > .painted--cursor { text-style: reverse; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._named: dict[tuple[str, bool], RichStyle] = {}

    def style(self, name: str = "", *, cursor: bool = False) -> RichStyle:
        """The style of a name ("" = plain text)."""
        found = self._named.get((name, cursor))
        if found is None:
            found = self.rich_style
            if name:
                found += part_style(self, f"painted--{name}")
            if cursor:
                kind = "cursor" if self.has_focus else "cursor-blurred"
                found += part_style(self, f"painted--{kind}")
            self._named[name, cursor] = found
        return found

    def forget_styles(self) -> None:
        """The theme or the focus changed."""
        self._named.clear()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.forget_styles()


def merged(segments: Iterable[Segment]) -> list[Segment]:
    """Neighbours of one style as one segment: each costs some 35 bytes on the wire."""
    result: list[Segment] = []
    for segment in segments:
        if not segment.text:
            continue
        if result and result[-1].style == segment.style:
            result[-1] = Segment(result[-1].text + segment.text, segment.style)
        else:
            result.append(segment)
    return result
