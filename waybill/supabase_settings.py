"""The settings of Supabase Storage, declared as all others are; `waybill.settings` lists them."""

from __future__ import annotations

from waybill.runtime.settings import Setting

_GROUP = "Supabase"

STORAGE_BACKEND = Setting(
    name="STORAGE_BACKEND",
    group=_GROUP,
    meaning="What keeps the files: a folder of this machine, or a bucket of Supabase Storage.",
    otherwise="`local`; `supabase` in simulator mode",
    choices=("local", "supabase"),
)
SUPABASE_URL = Setting(
    name="SUPABASE_URL",
    group=_GROUP,
    meaning="The project's address, `https://<ref>.supabase.co`. Needed by the `supabase` backend, unless "
    "SUPABASE_STORAGE_URL is set. `waybill up --mode simulator` sets it.",
)
SUPABASE_KEY = Setting(
    name="SUPABASE_KEY",
    group=_GROUP,
    meaning="A secret key (`sb_secret_…`) or the legacy JWT of the service role. Needed by the `supabase` "
    "backend, here or in SUPABASE_KEY_FILE.",
    secret=True,
)
SUPABASE_KEY_NEXT = Setting(
    name="SUPABASE_KEY_NEXT",
    group=_GROUP,
    meaning="A second key, used when the first is refused: set it while you rotate keys.",
    default="",
    secret=True,
)
SUPABASE_KEY_FILE = Setting(
    name="SUPABASE_KEY_FILE",
    group=_GROUP,
    meaning="A file with a key a line, read again when it changes.",
    default="",
)
SUPABASE_BUCKET = Setting(
    name="SUPABASE_BUCKET",
    group=_GROUP,
    meaning="The bucket that holds the files. It is private, and nothing else writes to it.",
    default="waybill",
)
SUPABASE_STORAGE_URL = Setting(
    name="SUPABASE_STORAGE_URL",
    group=_GROUP,
    meaning="Address of the storage API, where it is not SUPABASE_URL with /storage/v1: the direct host "
    "`https://<ref>.storage.supabase.co/storage/v1`, faster for large files, or a server of your own.",
    default="",
    otherwise="SUPABASE_URL with /storage/v1",
)
LIVE_SUPABASE_URL = Setting(
    name="WAYBILL_LIVE_SUPABASE_URL",
    group="For tests",
    meaning="The storage API of a real server, for the tests of storage; without it they skip that one. "
    "SUPABASE_STORAGE_URL does the same.",
    default="",
)
LIVE_SUPABASE_KEY = Setting(
    name="WAYBILL_LIVE_SUPABASE_KEY",
    group="For tests",
    meaning="A secret key for that server. SUPABASE_KEY does the same.",
    default="",
    secret=True,
)
LIVE_SUPABASE_JWT_SECRET = Setting(
    name="WAYBILL_LIVE_SUPABASE_JWT_SECRET",
    group="For tests",
    meaning="What that server checks HS256 tokens by, for the test of what each role may do in the bucket.",
    default="",
    secret=True,
)
