"""Manifests that ``sha256sum -c`` reads: the proof of a visit that needs no dockd."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dockd.errors import StoredFileAltered, store_error
from dockd.export.atomic import publishing


def render_manifest(entries: Sequence[tuple[str, str]]) -> bytes:
    """``<sha256>  <location>`` a line, in the order of the locations.

    ``entries`` are (SHA-256 in hex, path relative to the store's root). A name with a
    backslash, newline or carriage return is written as coreutils reads it: escaped, the
    line led by a backslash.
    """
    return "".join(_line(digest, path) for digest, path in sorted(entries, key=lambda e: e[1])).encode()


def _line(digest: str, path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != path else ""
    return f"{mark}{digest}  {escaped}\n"


def write_manifest(path: str, data: bytes) -> str:
    """``path`` holds ``data``, durably and read-only (0440); returns the SHA-256 of ``data`` in hex.

    A manifest is never replaced. One with the same bytes is left as it is (a visit that goes
    on after a crash writes it again); raises StoredFileAltered for one with others, StoreError
    when the store does not take it.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        with publishing(path, mode=0o440, replace=False, blame=store_error) as draft:
            draft.write(data)
    except FileExistsError:
        if _holds(path, data):
            return digest
        raise StoredFileAltered(location=path, reason="another manifest is there") from None
    return digest


def _holds(path: str, data: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(data) + 1) == data
    except OSError as error:
        raise store_error(error, path) from error
