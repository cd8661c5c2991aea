"""`lxdpm-tui`, and `python -m lxdpm_tui`."""

from __future__ import annotations

import sys


def main() -> int:
    """The process's own command line; gives the exit code."""
    from lxdpm_tui import splash

    try:
        splash.begin_for(sys.argv[1:])
        from lxdpm_tui.cli import main

        return main()
    finally:
        splash.end()


if __name__ == "__main__":
    raise SystemExit(main())
