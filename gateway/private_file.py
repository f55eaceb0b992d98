"""Files that hold a secret: a key, a PIN, a client secret. Read only if their owner alone may read them."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import UsageError

OTHERS = 0o077


def read_private(file: Path, what: str = "key") -> bytes:
    """Read a secret; its mode is judged on the very file that is read, whatever its name points to later.

    Args:
        file: where it lies.
        what: it is, for the message.

    Raises:
        UsageError: others than its owner may read the file, or it cannot be read at all.
    """
    try:
        with file.open("rb") as opened:
            shared = os.fstat(opened.fileno()).st_mode & OTHERS
            data = b"" if shared else opened.read()
    except OSError as error:
        raise UsageError(f"the {what} {file} cannot be read: {error.strerror}") from error
    if shared:
        raise UsageError(f"the {what} {file} can be read by others; set its mode to 0600 (chmod 600)")
    return data
