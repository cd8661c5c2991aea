"""The routes, a module a resource; `table` is all of them."""

from __future__ import annotations

from lxdpm_tui.gateway.routes import (
    certificates,
    fleet,
    images,
    instances,
    networks,
    operations,
    profiles,
    projects,
    server,
    storage,
    volumes,
)
from lxdpm_tui.gateway.routing import Route


def table() -> list[Route]:
    return [
        *server.ROUTES,
        *certificates.ROUTES,
        *instances.ROUTES,
        *images.ROUTES,
        *profiles.ROUTES,
        *projects.ROUTES,
        *networks.ROUTES,
        *storage.ROUTES,
        *volumes.ROUTES,
        *operations.ROUTES,
        *fleet.ROUTES,
    ]
