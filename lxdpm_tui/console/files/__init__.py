"""The person's own files beside hosts.toml: keys, aliases, views, plugins, guards, themes. Read again when they change.

keys.toml     start = "f5"                      or a list of keys; the ids are in the help
aliases.toml  web = "instances web-* status:running"
views.toml    [mine]  place, filter, sort ("-memory" = downwards), columns (ids, or {title, path, width})
plugins.toml  [ping]  command = ["ping", "-c3", "$IP"], key, places, help, inputs, confirm, wait
guards.toml   [mine]  filter, acts, ask = "type" or "never", why
themes/*.toml name, dark, primary, error, ... as Textual's themes have them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxdpm_tui.config.hosts_file import ConfigError, Problem
from lxdpm_tui.console.files.guards import Guard, broken, read_guards
from lxdpm_tui.console.files.plugins import Plugin, read_plugins
from lxdpm_tui.console.files.simple import read_aliases, read_keys
from lxdpm_tui.console.files.themes import read_theme
from lxdpm_tui.console.files.views import SavedView, read_views

__all__ = ["Files", "Guard", "Plugin", "SavedView"]


@dataclass(slots=True)
class Files:
    """What the files say. `look` reads what changed since the last look; what is wrong stays as it was before.

    themes: Textual's Theme objects by name.
    """

    directory: Path | None = None
    keys: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    views: dict[str, SavedView] = field(default_factory=dict)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    guards: dict[str, Guard] = field(default_factory=dict)
    themes: dict[str, Any] = field(default_factory=dict)
    _stamps: dict[Path, tuple[float, int]] = field(default_factory=dict)
    _theme_files: dict[Path, str] = field(default_factory=dict)

    def look(self) -> tuple[set[str], list[Problem]]:
        """Read what changed; gives the names of the kinds that are new ("keys", ...) and every mistake found."""
        if self.directory is None:
            return set(), []
        news: set[str] = set()
        problems: list[Problem] = []
        readers: Mapping[str, Callable[[Path], Any]] = {
            "keys": read_keys,
            "aliases": read_aliases,
            "views": read_views,
            "plugins": read_plugins,
            "guards": read_guards,
        }
        for kind, read in readers.items():
            path = self.directory / f"{kind}.toml"
            change = self._changed(path)
            if change is None:
                continue
            try:
                setattr(self, kind, read(path) if change else {})
                news.add(kind)
            except ConfigError as error:
                problems += error.problems
                if kind == "guards" and not self.guards:
                    self.guards = broken("its mistakes are to be mended first")
        for path in self._theme_paths():
            if self._changed(path) is None:
                continue
            try:
                theme = read_theme(path)
            except ConfigError as error:
                problems += error.problems
                continue
            self.themes[theme.name] = theme
            news.add("themes")
        return news, problems

    def _theme_paths(self) -> list[Path]:
        assert self.directory is not None
        try:
            return sorted(path for path in (self.directory / "themes").iterdir() if path.suffix == ".toml")
        except OSError:
            return []

    def _changed(self, path: Path) -> bool | None:
        """True: new content, False: gone, None: as before. What cannot be looked at is new, once: reading says why."""
        try:
            found = path.stat()
            stamp = (found.st_mtime, found.st_size)
        except (FileNotFoundError, NotADirectoryError):
            return False if self._stamps.pop(path, None) is not None else None
        except OSError:
            stamp = (-1.0, -1)
        if self._stamps.get(path) == stamp:
            return None
        self._stamps[path] = stamp
        return True
