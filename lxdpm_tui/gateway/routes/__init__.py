"""The routes, a module a resource; `table` is all of them."""

from __future__ import annotations

from lxdpm_tui.gateway.routes import (
    certificates,
    cluster,
    cluster_groups,
    fleet,
    image_changes,
    images,
    instance_more,
    instances,
    monitoring,
    networks,
    operations,
    profiles,
    projects,
    refused,
    server,
    settings,
    storage,
    volumes,
    warnings,
)
from lxdpm_tui.gateway.routing import Route


def table() -> list[Route]:
    return [
        *server.ROUTES,
        *cluster.ROUTES,
        *cluster_groups.ROUTES,
        *certificates.ROUTES,
        *instances.ROUTES,
        *instance_more.ROUTES,
        *images.ROUTES,
        *image_changes.ROUTES,
        *profiles.ROUTES,
        *projects.ROUTES,
        *networks.ROUTES,
        *storage.ROUTES,
        *volumes.ROUTES,
        *monitoring.ROUTES,
        *warnings.ROUTES,
        *settings.ROUTES,
        *refused.ROUTES,
        *operations.ROUTES,
        *fleet.ROUTES,
    ]
