"""Settings of stored files, and of the links by which they are reached."""

from __future__ import annotations

from waybill.runtime.settings import Setting

_STACK, _GROUP = "The stack", "Links to objects"

OBJECTS_DIR = Setting(
    name="WAYBILL_OBJECTS_DIR",
    group=_STACK,
    meaning="Folder of the stored files, which no other process writes to. `waybill up` sets it.",
    otherwise="`objects/` in the state folder",
)
OBJECTS_HTTP = Setting(
    name="WAYBILL_OBJECTS_HTTP",
    group=_GROUP,
    meaning="host:port where the storage service serves links to objects on its own disk. Only loopback is "
    "accepted, unless WAYBILL_PRIVATE_NETWORK=1. `waybill up` sets it.",
    default="",
    otherwise="no links",
)
OBJECTS_PUBLIC_URL = Setting(
    name="WAYBILL_OBJECTS_PUBLIC_URL",
    group=_GROUP,
    meaning="What links begin with, where something in front of the storage service serves them, such as "
    "https://files.example.com/waybill. It passes on what comes behind that, to `/objects/…`.",
    default="",
    otherwise="http:// and where the service listens",
)
OBJECTS_LINK_KEYS = Setting(
    name="WAYBILL_OBJECTS_LINK_KEYS",
    group=_GROUP,
    meaning="Keys of 32 characters or more, with spaces between them: the first one signs links, and links "
    "that others of them signed are good. To change the key, put a new one in front; take the old one away "
    "when its links have expired.",
    default="",
    otherwise="one is made in the file `link-keys` beside the stored files, a key a line",
    secret=True,
)
