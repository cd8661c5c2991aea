"""OpenMetrics texts of several hosts as one: each family once, each sample with its host in the label `location`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

UP = "lxdpm_host_up"
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S.*)")
_PROJECT = re.compile(r'(?:^|,)project="((?:[^"\\]|\\.)*)"')


def merge(texts: Mapping[str, str], up: Mapping[str, bool], allows: Callable[[str], bool] | None = None) -> str:
    """texts: host -> its metrics.  up: host -> whether it can be asked, a family of our own.

    allows: whether samples of a project may be seen; samples that tell no project are then left out, `up` too.
    """
    comments: dict[str, dict[str, str]] = {}  # family -> HELP, TYPE -> line
    samples: dict[str, list[str]] = {}
    if allows is None:
        comments[UP] = {"HELP": f"# HELP {UP} Whether the host can be asked.", "TYPE": f"# TYPE {UP} gauge"}
        samples[UP] = [f'{UP}{{location="{_escaped(host)}"}} {int(is_up)}' for host, is_up in up.items()]
    for host, text in texts.items():
        label = f'location="{_escaped(host)}"'
        family = ""
        for line in text.splitlines():
            if line.startswith("#"):
                words = line.split(maxsplit=3)
                if len(words) > 2 and words[1] in ("HELP", "TYPE", "UNIT"):
                    family = words[2]
                    comments.setdefault(family, {}).setdefault(words[1], line)
                continue
            found = _SAMPLE.fullmatch(line.strip())
            if found is None:
                continue
            name, labels, value = found[1], found[2] or "", found[3]
            if allows is not None:
                project = _PROJECT.search(labels)
                if project is None or not allows(project[1]):
                    continue
            own = family if family and name.startswith(family) else name
            samples.setdefault(own, []).append(f"{name}{{{label}{',' if labels else ''}{labels}}} {value}")
    lines = []
    for family, rows in samples.items():
        lines += [*comments.get(family, {}).values(), *rows]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
