"""``multipart/related`` bodies (RFC 2046 §5.1, RFC 2387). Pure."""

from __future__ import annotations

from collections.abc import Mapping


class Multipart:
    """The lines around the parts.

    Args:
        media_type: of the parts, told in the type parameter.
        boundary: random; must not occur in the parts.
    """

    def __init__(self, media_type: str, boundary: str) -> None:
        self.media_type, self.boundary = media_type, boundary

    @property
    def content_type(self) -> str:
        """Of the whole body."""
        return f'multipart/related; type="{self.media_type}"; boundary={self.boundary}'

    def head(self, content_type: str, **headers: str) -> bytes:
        """What stands before a part."""
        fields: Mapping[str, str] = {"Content-Type": content_type} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = [f"--{self.boundary}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode("ascii", "replace")

    @property
    def after(self) -> bytes:
        """What stands after each part."""
        return b"\r\n"

    @property
    def end(self) -> bytes:
        """What stands at the end of the body."""
        return f"--{self.boundary}--\r\n".encode()
