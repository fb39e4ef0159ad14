"""Ids of the spans that are rows and not live objects, so that they outlive the process.

The trace is the run's UUID; root and step spans are derived from run, step and try.
"""

from __future__ import annotations

import hashlib
import uuid


def trace_id(run_id: str) -> str:
    """32 hex digits."""
    return uuid.UUID(run_id).hex


def root_span_id(run_id: str) -> str:
    """16 hex digits."""
    return _derived(run_id, "run")


def try_span_id(run_id: str, number: int) -> str:
    """16 hex digits, for the root of a try after the first."""
    return _derived(run_id, f"try:{number}")


def step_span_id(run_id: str, step: str, number: int = 1) -> str:
    """16 hex digits, for a step's name as it stands in the trace ("embed 2"), in try `number`."""
    return _derived(run_id, f"step:{step}:{number}")


def _derived(run_id: str, what: str) -> str:
    return hashlib.sha256(f"{run_id}/{what}".encode()).hexdigest()[:16]
