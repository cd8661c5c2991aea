"""What the command line says of how the console looks at first, and where it keeps what it remembers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxdpm_tui.config import Paths
    from lxdpm_tui.console.app import Console


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--view", metavar="NAME", default="", help="show this table or saved view at first")
    parser.add_argument("--filter", dest="view_filter", metavar="TEXT", default="", help="and filter it")
    parser.add_argument("--project", dest="view_project", metavar="NAME", default="", help="and only one project")
    parser.add_argument("--read-only", dest="look_only", action="store_true", help="look only: every change is refused")
    parser.add_argument(
        "--web",
        metavar="[ADDR:]PORT",
        nargs="?",
        const="",
        help="serve the console to a browser on this machine, read-only",
    )
    parser.add_argument("--web-writable", action="store_true", help="with --web: let it change things too")


def console(arguments: argparse.Namespace, paths: Paths, demo: bool, **more: Any) -> Console:
    """The console as the command line asks for it. A demo remembers nothing unless a state directory is named."""
    from lxdpm_tui.console.app import Console
    from lxdpm_tui.console.personal import FirstView

    return Console(
        state_dir=None if demo and arguments.state_dir is None else paths.state_dir,
        config_dir=paths.hosts_file.parent,
        first=FirstView(arguments.view, arguments.view_filter, arguments.view_project),
        read_only=arguments.look_only,
        **more,
    )
