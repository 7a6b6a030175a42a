"""The one fixed list of files that are not stored: indexes that operating systems leave on a card.

Article 3 asks for completeness, so this list is code and not configuration: no profile can
make footage disappear. A name is not enough either: before a file on the list is skipped its
content is looked at (``confirm_skip``), and what may be a recording is stored.
"""

from __future__ import annotations

import os
import re

from dockd.card.listing import open_entry
from dockd.card.signature import HEAD_BYTES, media_by_signature
from dockd.errors import CardFileReplaced, CardFileUnreadable
from dockd.nouns import Entry, EntryType, display_path

MAX_INDEX_BYTES = 16 << 20

_APPLEDOUBLE = b"\x00\x05\x16\x07"
_RESOURCE_FORK = "mac_resource_fork"
_INDEX_FILES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (code, re.compile(pattern, re.IGNORECASE | re.ASCII | re.DOTALL))
    for code, pattern in (
        ("windows_volume_index", r"System Volume Information/(?:IndexerVolumeGuid|WPSettings\.dat)"),
        ("windows_folder_settings", r"(?:.*/)?desktop\.ini"),
        ("windows_thumbnails", r"(?:.*/)?(?:eh)?Thumbs\.db"),
        ("mac_folder_settings", r"(?:.*/)?\.DS_Store"),
        (_RESOURCE_FORK, r"(?:.*/)?\._[^/]+"),
        ("mac_event_log", r"\.fseventsd/.*"),
        ("mac_search_index", r"\.Spotlight-V100/.*"),
        ("mac_marker", r"\.metadata_never_index(?:_unless_rootfs)?|\.com\.apple\.timemachine\.donotpresent|\.apdisk"),
        ("linux_folder_settings", r"(?:.*/)?\.directory"),
        ("android_marker", r"(?:.*/)?\.nomedia"),
    )
)


def skip_reason(entry: Entry) -> str | None:
    """The code under which an entry may be skipped, by type, size and path alone; None for all the rest."""
    if entry.type is not EntryType.FILE or entry.size > MAX_INDEX_BYTES:
        return None
    path = display_path(entry.path)
    return next((code for code, pattern in _INDEX_FILES if pattern.fullmatch(path)), None)


def confirm_skip(root_fd: int, entry: Entry) -> bool:
    """Whether a listed file is on the list *and* its content is not media: True means it may be skipped.

    Reads at most ``HEAD_BYTES``. What cannot be read is not skipped: the copier finds out and
    names it. Raises CardGone.
    """
    code = skip_reason(entry)
    if code is None:
        return False
    try:
        head = _head(root_fd, entry.path)
    except (CardFileReplaced, CardFileUnreadable, OSError):
        return False
    if code == _RESOURCE_FORK and not head.startswith(_APPLEDOUBLE):
        return False
    return media_by_signature(head) is None


def _head(root_fd: int, path: bytes) -> bytes:
    fd = open_entry(root_fd, path)
    try:
        return os.pread(fd, HEAD_BYTES, 0)
    finally:
        os.close(fd)
