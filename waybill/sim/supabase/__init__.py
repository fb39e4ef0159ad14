"""Supabase Storage behind its gateway, as the server answers that was run for this (docs/simulators.md)."""
