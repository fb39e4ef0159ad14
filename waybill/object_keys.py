"""Where the pipeline keeps a tenant's objects: the keys that more than one program knows."""


def source_key(sha256: str) -> str:
    """Of a document's file, by the SHA-256 of its content."""
    return f"sources/{sha256}"
