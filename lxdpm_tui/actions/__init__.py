"""What a person or a client asks for; the only room that both front doors call to change anything."""

from __future__ import annotations


def load_all() -> None:
    """Enter every action in the registry. They are modules of their own, loaded late to keep the start quick."""
    from lxdpm_tui.actions import (
        edit,
        exec,
        files,
        hosts,
        hosts_edit,
        hosts_import,
        images,
        instances,
        networks,
        plan_actions,
        profile_level,
        profiles,
        projects,
        storage,
    )

    del (
        edit,
        exec,
        files,
        hosts,
        hosts_edit,
        hosts_import,
        images,
        instances,
        networks,
        plan_actions,
        profile_level,
        profiles,
        projects,
        storage,
    )
