"""Supabase Storage's errors as it writes them: HTTP 400, and the true status as text in the body."""

from __future__ import annotations

from waybill.sim import replies
from waybill.sim.wire import Reply

# Of every reply of a resumable upload.
TUS_HEADERS = {"tus-resumable": "1.0.0", "content-type": "text/plain;charset=UTF-8"}


class Refused(replies.Refused):
    """A request that the storage server refuses.

    Args:
        status: In the body.
        label: The body's `error`; its `code` where none is given.
        http: The status on the wire.
    """

    def __init__(self, status: int, code: str, message: str, label: str = "", http: int = 400) -> None:
        self.status, self.message = status, message
        body = {"statusCode": str(status), "error": label or code, "message": message, "code": code}
        super().__init__(replies.json_reply(body, http))


def unauthorized(message: str = "Invalid API key") -> replies.Refused:
    """401 of the gateway, which writes neither `error` nor `statusCode`."""
    return replies.Refused(replies.json_reply({"message": message}, 401))


def denied(message: str = "new row violates row-level security policy") -> Refused:
    """What a policy forbids, and a token that is not good."""
    return Refused(403, "AccessDenied", message, "Unauthorized")


def bad_token(message: str = "Invalid Compact JWS") -> Refused:
    """A bearer that is no good token; an expired one is told from others by its message alone."""
    return denied(message)


def no_bucket() -> Refused:
    """404; also one that a policy hides."""
    return Refused(404, "NoSuchBucket", "Bucket not found", "Bucket not found")


def no_object() -> Refused:
    """404; also one that a policy hides."""
    return Refused(404, "NoSuchKey", "Object not found", "not_found")


def key_exists() -> Refused:
    """409, of an upload or a copy."""
    return Refused(409, "KeyAlreadyExists", "The resource already exists", "Duplicate")


def resource_exists() -> Refused:
    """409, of a move."""
    return Refused(409, "ResourceAlreadyExists", "The resource already exists", "Duplicate")


def bucket_exists() -> Refused:
    """409."""
    return Refused(409, "BucketAlreadyExists", "The resource already exists", "Duplicate")


def bucket_not_empty() -> Refused:
    """409."""
    return Refused(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")


def too_large() -> Refused:
    """413: over the bucket's limit or the project's."""
    return Refused(413, "EntityTooLarge", "The object exceeded the maximum allowed size", "Payload too large")


def bad_type(kind: str) -> Refused:
    """415: the bucket does not take it."""
    return Refused(415, "InvalidMimeType", f"mime type {kind} is not supported", "invalid_mime_type")


def bad_key(key: str) -> Refused:
    """400: not an object's name."""
    return Refused(400, "InvalidKey", f"Invalid key: {key}")


def bad_bucket() -> Refused:
    """400: not a bucket's name."""
    return Refused(400, "InvalidBucketName", "Bucket name invalid", "Invalid Input")


def invalid(message: str) -> Refused:
    """400: a field or a header that is missing, or of another type."""
    return Refused(400, "InvalidRequest", message, "Error")


def no_content() -> Refused:
    """400: a form without a file, or none at all."""
    return Refused(400, "InvalidRequest", "Unexpected end of multipart data")


def no_related() -> Refused:
    """404: the bucket that something is to be copied into."""
    return Refused(404, "InvalidRequest", "The related resource does not exist")


def bad_cursor() -> Refused:
    """400."""
    return Refused(400, "InvalidParameter", "Invalid Parameter continuation token")


def bad_link(message: str = '"exp" claim timestamp check failed') -> Refused:
    """400: a link's token that has expired, or is none."""
    return Refused(400, "InvalidJWT", message)


def wrong_link(message: str = "Invalid signature") -> Refused:
    """400: a link's token, used for another object or another purpose."""
    return Refused(400, "InvalidSignature", message)


def bad_range() -> Refused:
    """416, on the wire too."""
    return Refused(416, "InvalidRange", "invalid range provided", "invalid_range", http=416)


def overloaded() -> Refused:
    """429, on the wire too."""
    return Refused(
        429, "SlowDown", "Too many connections issued to the database", "too_many_connections", http=429
    )


def internal(status: int = 500) -> Refused:
    """500 and the like, on the wire too."""
    return Refused(status, "InternalError", "Internal Server Error", "Internal", http=status)


def database_timeout() -> Refused:
    """544, which no list of statuses has."""
    message = "The connection to the database timed out"
    return Refused(544, "DatabaseTimeout", message, http=544)


def no_route(method: str, path: str) -> replies.Refused:
    """404 on the wire, and the one body whose status is a number."""
    body = {"message": f"Route {method}:{path} not found", "error": "Not Found", "statusCode": 404}
    return replies.Refused(replies.json_reply(body, 404))


def plain(status: int, message: str) -> replies.Refused:
    """Of a resumable upload: the status on the wire, and text."""
    return replies.Refused(Reply(status, message.encode(), TUS_HEADERS))


def unknown_role(role: str) -> Refused:
    """500, on the wire too: Postgres knows no such role."""
    return Refused(500, "DatabaseError", f'role "{role}" does not exist', "22023", http=500)
