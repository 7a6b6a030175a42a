"""A real PostgreSQL for the tests: started once per session from Debian's packages, one fresh database per test.

It listens on a socket in a private folder only, is owned by an unprivileged user (the server refuses
root), syncs nothing, and is stopped and removed at the end, also when the tests are killed. Also the
fixture ``register``, an empty register on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dockd.register.session import Register, create_register, open_register

WAIT_S = 5.0
OPTIONS = "-c fsync=off -c full_page_writes=off -c listen_addresses='' -c max_connections=50 -c timezone=Asia/Shanghai"


@dataclass
class Server:
    """A running server. ``url`` of a database that exists; ``create`` makes one, a copy of ``template`` if given."""

    binaries: Path
    folder: Path
    user: str
    count: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://dockd@/{database}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        name = f"test_{next(self.count)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        self.run(f"DROP DATABASE {database} WITH (FORCE)")

    def run(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(f"host={self.folder} user=dockd dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        data = f"{self.folder}/data"
        self._call(
            "initdb", "-D", data, "-U", "dockd", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-N"
        )
        self.resume()

    def stop(self) -> None:
        """The server stops at once, as when its machine goes off; ``resume`` brings it back with all that was kept."""
        self._call("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "immediate", "stop")

    def is_running(self) -> bool:
        return (self.folder / "data/postmaster.pid").exists()

    def resume(self) -> None:
        options = f"{OPTIONS} -k {self.folder}"
        data = f"{self.folder}/data"
        self._call("pg_ctl", "-D", data, "-w", "-t", "60", "-l", f"{self.folder}/log", "-o", options, "start")

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Stops the server and removes its folder when the block ends, or this process in whatever way.

        A shell outside the session waits for the end of its input, which nobody but this process holds open.
        """
        stop = f"'{self.binaries}/pg_ctl' -D '{self.folder}/data' -w -m immediate stop"
        guard = subprocess.Popen(
            ["sh", "-c", f"cat; {stop}; rm -rf '{self.folder}'"],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._person(),
        )
        assert guard.stdin
        try:
            yield
        finally:
            guard.stdin.close()
            guard.wait()

    def _person(self) -> dict[str, Any]:
        """How subprocess becomes the server's user."""
        owner = pwd.getpwnam(self.user)
        return {"user": self.user, "group": owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}

    def _call(self, program: str, *arguments: str) -> None:
        """Runs one of the server's programs as its user; nothing of the caller's environment or folder goes along."""
        # Into a file: the server keeps what it inherits open, so that a pipe would never end.
        with open(self.folder / "calls", "a") as calls:
            done = subprocess.run(
                [self.binaries / program, *arguments],
                cwd=self.folder,
                env={"PATH": os.defpath, "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=calls,
                stderr=calls,
                **self._person(),
            )
        if done.returncode:
            raise RuntimeError((self.folder / "calls").read_text(errors="replace")[-2000:])


def find_binaries() -> Path | None:
    """The folder of the newest server on this machine."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return Path(on_path).resolve().parent if on_path else debian[-1].parent if debian else None


def unprivileged_user() -> str:
    """Who may own the server: the caller, or, for root, Debian's user for it."""
    if os.geteuid():
        return pwd.getpwuid(os.geteuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The session's server; tests that need it are skipped where it is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (apt install postgresql)")
    # A short path: the name of a socket holds 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="dockd-pg-", dir="/tmp"))
    server = Server(binaries, folder, unprivileged_user())
    if os.geteuid() == 0:
        shutil.chown(folder, server.user)
    with server.guarded():
        server.start()
        yield server
    shutil.rmtree(folder, ignore_errors=True)  # the guard emptied it; /tmp lets only root or its owner remove it


@pytest.fixture
def postgresql_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def postgresql_template(postgres_server: Server) -> str:
    """The name of a database that holds an empty register, to be copied."""
    name = postgres_server.create()
    create_register(postgres_server.url(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that holds an empty register, to be copied."""
    path = tmp_path_factory.mktemp("register") / "template.db"
    create_register(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def register_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty register of this test's own, once on either database."""
    if request.param == "sqlite":
        path = tmp_path / "register.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("postgresql_template")
    server: Server = request.getfixturevalue("postgres_server")
    name = server.create(template)
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def register(register_url: str) -> Iterator[Register]:
    """An open, empty register, once on either database."""
    opened = open_register(register_url, wait_s=WAIT_S)
    yield opened
    opened.close()
