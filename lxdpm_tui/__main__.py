"""`python -m lxdpm_tui` is `lxdpm-tui`."""

from lxdpm_tui.cli import main

raise SystemExit(main())
