"""Finding chunks of published versions: by vector, by text, or both fused by reciprocal rank.

Three lists of up to 50 join the fusion: nearest vectors, chunks with any of the question's words, and
of these the ones with all of them. Words are English lexemes; a question's punctuation has no meaning.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from services.storage import spaces
from services.storage.chunks import VectorBytes, register
from services.storage.spaces import Space
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.postgres import Connection, Database
