"""What the calls of the API take: JSON schemas of LXD's request bodies, and which route takes which.

They tell types and what must be there, not every key that some daemon knows: objects are open.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "array", "items": TEXT}
CONFIG: Schema = {"type": "object", "additionalProperties": TEXT}
DEVICES: Schema = {"type": "object", "additionalProperties": CONFIG}


def _object(required: str = "", /, **properties: Schema) -> Schema:
    """required: names, separated by spaces."""
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = required.split()
    return found


def _with(schema: Schema, **properties: Schema) -> Schema:
    return {**schema, "properties": {**schema["properties"], **properties}}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


_RENAME = _object("name", name=TEXT)
_DESCRIBED = _object(description=TEXT, config=CONFIG)
_INSTANCE = _object(
    architecture=TEXT, config=CONFIG, devices=DEVICES, ephemeral=FLAG, profiles=_or_null(TEXTS), stateful=FLAG,
    description=TEXT,
)  # fmt: skip
_SOURCE = _object(
    "type",
    type=_one_of("image", "none", "copy", "migration", "conversion"),
    alias=TEXT, fingerprint=TEXT, properties=CONFIG, server=TEXT, secret=TEXT, protocol=TEXT, certificate=TEXT,
    source=TEXT, project=TEXT, mode=_one_of("pull", "push", "relay"), operation=TEXT, secrets=CONFIG,
    instance_only=FLAG, refresh=FLAG, live=FLAG, allow_inconsistent=FLAG,
)  # fmt: skip
_IMAGE = _object(
    public=FLAG, auto_update=FLAG, properties=CONFIG, expires_at=_or_null(TEXT), profiles=_or_null(TEXTS)
)  # fmt: skip
_NETWORK_PART = _object(listen_address=TEXT, name=TEXT, description=TEXT, config=CONFIG)
_RULES: Schema = {"type": "array", "items": CONFIG}

SCHEMAS: dict[str, Schema] = {
    "Rename": _RENAME,
    "Server": _object("config", config=CONFIG),
    "Certificate": _object(
        type=TEXT, name=TEXT, restricted=FLAG, projects=TEXTS, read_only=FLAG, certificate=TEXT, password=TEXT,
        trust_token=TEXT, token=FLAG,
    ),
    "Member": _object(description=TEXT, failure_domain=TEXT, roles=TEXTS, config=CONFIG, groups=TEXTS),
    "MemberRename": _object("server_name", server_name=TEXT),
    "MemberState": _object("action", action=_one_of("evacuate", "restore"), mode=TEXT, force=FLAG),
    "Group": _object("name", name=TEXT, description=TEXT, members=TEXTS, config=CONFIG),
    "GroupPut": _object(description=TEXT, members=TEXTS, config=CONFIG),
    "Planner": _object("state", state=_one_of("random", "scatter", "gather")),
    "Arguments": {"type": "object"},
    "Instances": _with(
        _INSTANCE, name=TEXT, type=_one_of("container", "virtual-machine"), instance_type=TEXT, start=FLAG,
        source=_SOURCE,
    ),
    "Instance": _with(_INSTANCE, restore=TEXT),
    "InstanceMove": _object(
        name=TEXT, migration=FLAG, live=FLAG, instance_only=FLAG, pool=TEXT, project=TEXT, config=CONFIG,
        devices=DEVICES, profiles=_or_null(TEXTS), target=_or_null(_object(operation=TEXT, secrets=CONFIG)),
    ),
    "InstancesState": _object("state", state=_object("action", action=TEXT, timeout=WHOLE, force=FLAG, stateful=FLAG)),
    "InstanceState": _object(
        "action", action=_one_of("start", "stop", "restart", "freeze", "unfreeze"), timeout=WHOLE, force=FLAG,
        stateful=FLAG,
    ),
    "Exec": {
        **_object(
            "command", command=TEXTS, environment=CONFIG, interactive=FLAG, width=WHOLE, height=WHOLE, user=WHOLE,
            group=WHOLE, cwd=TEXT,
        ),
        "additionalProperties": FLAG,
    },
    "Console": _object(type=_one_of("console", "vga"), width=WHOLE, height=WHOLE, force=FLAG),
    "Snapshots": _object(name=TEXT, stateful=FLAG, expires_at=_or_null(TEXT)),
    "Snapshot": _object(expires_at=_or_null(TEXT)),
    "SnapshotMove": _object(name=TEXT, migration=FLAG, live=FLAG),
    "Backups": _object(
        name=TEXT, expires_at=_or_null(TEXT), instance_only=FLAG, volume_only=FLAG, optimized_storage=FLAG,
        compression_algorithm=TEXT,
    ),
    "Rebuild": _object("source", source=_SOURCE),
    "Images": _with(
        _IMAGE, filename=TEXT, aliases={"type": "array", "items": _object("name", name=TEXT, description=TEXT)},
        compression_algorithm=TEXT,
        source=_object(
            "type", type=_one_of("image", "url", "instance", "snapshot", "container", "virtual-machine"), name=TEXT,
            mode=_one_of("pull", "push"), url=TEXT, server=TEXT, protocol=TEXT, alias=TEXT, fingerprint=TEXT,
            secret=TEXT, certificate=TEXT, image_type=TEXT, project=TEXT,
        ),
    ),
    "Image": _IMAGE,
    "ImageExport": _object("target", target=TEXT, secret=TEXT, certificate=TEXT, aliases=TEXTS, project=TEXT),
    "Aliases": _object("name target", name=TEXT, target=TEXT, description=TEXT, type=TEXT),
    "Alias": _object(target=TEXT, description=TEXT),
    "Profiles": _object("name", name=TEXT, description=TEXT, config=CONFIG, devices=DEVICES),
    "Profile": _object(description=TEXT, config=CONFIG, devices=DEVICES),
    "Named": _object("name", name=TEXT, description=TEXT, config=CONFIG),
    "Described": _DESCRIBED,
    "Networks": _object("name", name=TEXT, type=TEXT, description=TEXT, config=CONFIG),
    "NetworkPart": _NETWORK_PART,
    "Acls": _object("name", name=TEXT, description=TEXT, config=CONFIG, ingress=_RULES, egress=_RULES),
    "Acl": _object(description=TEXT, config=CONFIG, ingress=_RULES, egress=_RULES),
    "Records": _object("name", name=TEXT, description=TEXT, config=CONFIG, entries={"type": "array", "items": CONFIG}),
    "AddressSet": _object(name=TEXT, description=TEXT, addresses=TEXTS),
    "Pools": _object("name", name=TEXT, driver=TEXT, description=TEXT, config=CONFIG),
    "Volumes": _object(
        "name", name=TEXT, type=TEXT, content_type=TEXT, description=TEXT, config=CONFIG,
        source=_object(type=_one_of("", "copy", "migration"), name=TEXT, pool=TEXT, project=TEXT, location=TEXT),
    ),
    "Volume": _with(_DESCRIBED, restore=TEXT),
    "VolumeMove": _object(name=TEXT, pool=TEXT, project=TEXT, migration=FLAG, volume_only=FLAG),
    "Warning": _object("status", status=_one_of("new", "acknowledged")),
}  # fmt: skip

# Beginning of a pattern below /1.0 -> method -> schema; the longest that fits counts, "=" only for the whole pattern.
BODIES: dict[str, dict[str, str]] = {
    "=": {"PUT": "Server", "PATCH": "Server"},
    "certificates": {"POST": "Certificate", "PUT": "Certificate", "PATCH": "Certificate"},
    "cluster/members/{name}": {"PUT": "Member", "PATCH": "Member", "POST": "MemberRename"},
    "cluster/members/{name}/state": {"POST": "MemberState"},
    "cluster/groups": {"POST": "Group"},
    "cluster/groups/{name}": {"PUT": "GroupPut", "PATCH": "GroupPut", "POST": "Rename"},
    "planner": {"PUT": "Planner", "POST": "Planner"},
    "fleet": {"POST": "Arguments"},
    "instances": {"POST": "Instances", "PUT": "InstancesState"},
    "instances/{name}": {"POST": "InstanceMove", "PUT": "Instance", "PATCH": "Instance"},
    "instances/{name}/state": {"PUT": "InstanceState"},
    "instances/{name}/exec": {"POST": "Exec"},
    "instances/{name}/console": {"POST": "Console"},
    "instances/{name}/snapshots": {"POST": "Snapshots"},
    "instances/{name}/snapshots/{snapshot}": {"POST": "SnapshotMove", "PUT": "Snapshot", "PATCH": "Snapshot"},
    "instances/{name}/backups": {"POST": "Backups"},
    "instances/{name}/backups/{backup}": {"POST": "Rename"},
    "instances/{name}/rebuild": {"POST": "Rebuild"},
    "images": {"POST": "Images"},
    "images/{fingerprint}": {"PUT": "Image", "PATCH": "Image"},
    "images/{fingerprint}/export": {"POST": "ImageExport"},
    "images/{fingerprint}/refresh": {},
    "images/{fingerprint}/secret": {},
    "images/aliases": {"POST": "Aliases"},
    "images/aliases/{name}": {"PUT": "Alias", "PATCH": "Alias", "POST": "Rename"},
    "profiles": {"POST": "Profiles"},
    "profiles/{name}": {"PUT": "Profile", "PATCH": "Profile", "POST": "Rename"},
    "projects": {"POST": "Named"},
    "projects/{name}": {"PUT": "Described", "PATCH": "Described", "POST": "Rename"},
    "networks": {"POST": "Networks"},
    "networks/{name}": {"PUT": "Described", "PATCH": "Described", "POST": "Rename"},
    "networks/{network}": {"POST": "NetworkPart", "PUT": "NetworkPart", "PATCH": "NetworkPart"},
    "network-acls": {"POST": "Acls"},
    "network-acls/{name}": {"PUT": "Acl", "PATCH": "Acl", "POST": "Rename"},
    "network-zones": {"POST": "Named", "PUT": "Described", "PATCH": "Described"},
    "network-zones/{zone}/records": {"POST": "Records", "PUT": "Records", "PATCH": "Records"},
    "network-address-sets": {"POST": "AddressSet", "PUT": "AddressSet", "PATCH": "AddressSet"},
    "network-integrations": {"POST": "Named", "PUT": "Described", "PATCH": "Described"},
    "storage-pools": {"POST": "Pools", "PUT": "Described", "PATCH": "Described"},
    "storage-pools/{pool}/volumes": {"POST": "Volumes"},
    "storage-pools/{pool}/volumes/{type}/{volume}": {"POST": "VolumeMove", "PUT": "Volume", "PATCH": "Volume"},
    "storage-pools/{pool}/volumes/{type}/{volume}/{rest}": {
        "POST": "Snapshots", "PUT": "Snapshot", "PATCH": "Snapshot",
    },
    "storage-pools/{pool}/buckets": {"POST": "Named", "PUT": "Described", "PATCH": "Described"},
    "warnings": {"PUT": "Warning", "PATCH": "Warning"},
}  # fmt: skip

# Routes that take a stream of bytes, instead of JSON or as well.
STREAMS = frozenset(
    {
        ("POST", "instances"),
        ("POST", "instances/{name}/files"),
        ("POST", "instances/{name}/metadata/templates"),
        ("POST", "images"),
        ("POST", "storage-pools/{pool}/volumes"),
        ("POST", "storage-pools/{pool}/volumes/{type}"),
    }
)
ONLY_BYTES = frozenset({("POST", "instances/{name}/files"), ("POST", "instances/{name}/metadata/templates")})

# Routes that answer with bytes.
BYTES = (
    "instances/{name}/files",
    "instances/{name}/console",
    "instances/{name}/logs/{file}",
    "instances/{name}/logs/exec-output/{file}",
    "instances/{name}/backups/{backup}/export",
    "images/{fingerprint}/export",
    "network-acls/{name}/log",
)

NAMED: Schema = {"type": "string", "minLength": 1}
_RECURSION: Schema = {"type": "integer", "minimum": 0, "maximum": 2}
_ALL: Schema = {"type": "boolean", "default": False}

# What a query may say, beside `project` and `target`: pattern below /1.0 -> name -> (schema, whether it is needed).
QUERIES: dict[str, dict[str, tuple[Schema, bool]]] = {
    "instances/{name}/files": {"path": (NAMED, True)},
    "instances/{name}/metadata/templates": {"path": (TEXT, False)},
    "instances": {"instance-type": (_one_of("container", "virtual-machine"), False)},
    "images/{fingerprint}": {"secret": (TEXT, False)},
    "images/{fingerprint}/export": {"secret": (TEXT, False)},
    "operations/{id}/wait": {"timeout": (WHOLE, False), "secret": (TEXT, False)},
    "operations/{id}/websocket": {"secret": (TEXT, False)},
    "cluster/members/{name}": {"force": (TEXT, False)},
    "events": {"type": (TEXT, False), "all-projects": (_ALL, False)},
}
OF_LISTS: dict[str, Schema] = {"recursion": _RECURSION, "filter": TEXT, "all-projects": _ALL}
