"""Who is at the other end of the control socket: the kernel names the user, the system's groups the roles.

Groups are looked up anew for every command, so that taking somebody out of a group counts at once and not after
his next login.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from dockd.service.roles import Role

_UCRED = struct.Struct("3i")
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who gives a command."""

    login: str
    roles: frozenset[Role]

    @property
    def actor(self) -> str:
        """As the ledger names people."""
        return f"person:{self.login}"


def peer_uid(conn: socket.socket) -> int:
    """The user that made the connection, as the kernel knows it (SO_PEERCRED)."""
    _pid, uid, _gid = _UCRED.unpack(conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def who(uid: int, behind: str | None) -> Person:
    """The person whose user is ``uid``. ``behind`` is who became root by sudo: only root is believed it."""
    if uid == _ROOT and behind in (None, "", "root"):
        return Person("root", frozenset({Role.ADMIN}))
    login = behind if uid == _ROOT and behind else _login_of(uid)
    return Person(login, _roles_of(login))


def _login_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _roles_of(login: str) -> frozenset[Role]:
    try:
        groups = set(os.getgrouplist(login, pwd.getpwnam(login).pw_gid))
    except (KeyError, ValueError):  # ValueError: a name that no system could have
        return frozenset()
    return frozenset(role for role in Role if _gid_of(role.group) in groups)


def _gid_of(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
