"""The one error of the build: what failed, and what to do about it."""

from __future__ import annotations


class BuildFault(Exception):
    """A build step failed; the message says which, and why, in plain words."""
