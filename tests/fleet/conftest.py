"""How property tests run."""

from __future__ import annotations

from tests import properties  # noqa: F401
