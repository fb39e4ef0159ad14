"""Reads documents in the sandbox, as the service does."""

from __future__ import annotations

import tempfile

import pytest

from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact, BlockKind, Page, Reading, load
from waybill.runtime.errors import ServiceError


async def read(sandbox: Sandbox, content: bytes, filename: str) -> tuple[list[Page], Reading]:
    """A document's pages and how it was read."""
    with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
        file.write(content)
        file.flush()
        assert await sandbox.read(file.fileno(), filename, artifact) == artifact.pages
        artifact.file.seek(0)
        return load(artifact.file.read()), artifact.whole()


async def pages(sandbox: Sandbox, content: bytes | str, filename: str) -> list[Page]:
    """A document's pages."""
    return (await read(sandbox, content.encode() if isinstance(content, str) else content, filename))[0]


async def refused(sandbox: Sandbox, content: bytes, filename: str) -> ServiceError:
    """Why a document is not read."""
    with pytest.raises(ServiceError) as caught:
        await read(sandbox, content, filename)
    return caught.value


def outline(page: Page) -> list[tuple[int, str]]:
    """Levels and titles of a page's headings."""
    return [(block.level, block.title) for block in page.blocks if block.kind is BlockKind.HEADING]


def of_kind(page: Page, kind: BlockKind) -> list[str]:
    """The texts of a page's blocks of a kind."""
    return [page.markdown[block.start : block.end] for block in page.blocks if block.kind is kind]
