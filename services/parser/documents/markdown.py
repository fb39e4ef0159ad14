"""Markdown → pages."""

from __future__ import annotations

from services.parser.documents.text import read

__all__ = ["read"]
