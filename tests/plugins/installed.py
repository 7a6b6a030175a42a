"""An installed station in small: ``dockd run`` as a user of its own, and people with roles who type commands.

The service runs in a mount namespace with its own ``/etc/passwd`` and ``/etc/group``, so that nothing of
the machine is changed; everybody is a real user to the kernel.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from waiting import until

DOCKD = Path(sys.executable).parent / "dockd"
SERVICE = 4100
PEOPLE = {"clerk": 4101, "keeper": 4102, "boss": 4103, "auditor": 4104, "stranger": 4105, "newcomer": 4106}
GROUPS = {
    "dockd-clerk": "clerk,auditor",
    "dockd-custodian": "keeper",
    "dockd-admin": "boss",
    "dockd-auditor": "auditor",
}
"""The auditor is in another group too, and gains nothing by it."""

STATION_YAML = """\
agency: {{name: Test Bureau, station_no: S1, language: en}}
store: {{root: store, reserve: 0}}
register: {{url: "{url}", wait_s: 10}}
inventory: {{path: exports/inventory.csv}}
service:
  control: {folder}/control
"""
DEADLINE_S = 30.0


@dataclass
class Office:
    """``folder`` is open to everybody to pass through, as /run and /etc are; what lies in it is the service's."""

    folder: Path
    url: str = "sqlite:///register.db"
    people: dict[str, int] = field(default_factory=lambda: dict(PEOPLE))
    groups: dict[str, str] = field(default_factory=lambda: dict(GROUPS))
    service: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "dockd.yaml"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    def found(self) -> None:
        """Makes the station as the service's user, whose alone everything is."""
        self.folder.chmod(0o755)
        self.config.write_text(STATION_YAML.format(url=self.url, folder=self.folder), encoding="utf-8")
        self.write_etc()
        made = (
            "from dockd.cli.invocation import utc_now\n"
            "from dockd.register.station import create_station\n"
            "from dockd.settings import load_settings\n"
            "import sys, pathlib\n"
            "create_station(load_settings(pathlib.Path(sys.argv[1])), now=utc_now, actor='dockd').close()\n"
        )
        os.chown(self.folder, SERVICE, SERVICE)
        os.chown(self.config, 0, SERVICE)
        self.config.chmod(0o644)
        subprocess.run([*as_user(SERVICE), sys.executable, "-c", made, self.config], check=True, timeout=60, cwd="/")
        (self.folder / "store").chmod(0o750)

    def write_etc(self) -> None:
        """The users and groups of the day, as the service sees them."""
        users = ["root:x:0:0::/root:/bin/sh", f"dockd:x:{SERVICE}:{SERVICE}::/:/bin/false"]
        users += [f"{name}:x:{uid}:{uid}::/:/bin/sh" for name, uid in self.people.items()]
        groups = ["root:x:0:", f"dockd:x:{SERVICE}:"]
        groups += [f"{name}:x:{uid}:" for name, uid in self.people.items()]
        groups += [f"{group}:x:{4200 + n}:{members}" for n, (group, members) in enumerate(self.groups.items())]
        for name, lines in (("passwd", users), ("group", groups)):
            file = self.folder / f"etc-{name}"
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")  # in place: it is bound there
            file.chmod(0o644)

    def start(self) -> None:
        """The service runs and answers."""
        log = (self.folder / "journal").open("ab")
        self.service = subprocess.Popen(
            [*self._in_namespace(), *as_user(SERVICE), DOCKD, "-c", self.config, "run"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        log.close()
        until(lambda: self.control.exists() or self.service is None or self.service.poll() is not None)
        assert self.service.poll() is None, self.journal()

    def stop(self) -> None:
        if self.service:
            self.service.send_signal(signal.SIGTERM)
            try:
                self.service.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.service.kill()
                self.service.wait()
            self.service = None

    def journal(self) -> str:
        return (self.folder / "journal").read_text(encoding="utf-8", errors="replace")

    def command(self, who: str, *words: object, **environ: str) -> tuple[list[str], dict[str, str]]:
        """What ``who`` types, and his environment."""
        uid = 0 if who == "root" else self.people[who]
        surroundings = {"PATH": os.environ["PATH"], "LANG": "en_US.UTF-8", "DOCKD_CONFIG": str(self.config), **environ}
        argv = [*self._in_namespace(), *as_user(uid), str(DOCKD), *(str(word) for word in words)]
        return argv, surroundings

    def type(self, who: str, *words: object, cwd: Path | str = "/", **environ: str) -> subprocess.CompletedProcess[str]:
        """The command, ended."""
        argv, surroundings = self.command(who, *words, **environ)
        return subprocess.run(
            argv, env=surroundings, cwd=cwd, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )

    def begin(self, who: str, *words: object, stdout: Any = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """The command, under way."""
        argv, surroundings = self.command(who, *words)
        return subprocess.Popen(
            argv, env=surroundings, cwd="/", stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE
        )

    def desk(self, who: str) -> Path:
        """A folder of ``who``'s that nobody else may look into."""
        folder = self.folder / f"desk-{who}"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, self.people[who], self.people[who])
        return folder

    def paper(self, who: str, name: str, text: str) -> Path:
        """A file on the desk that only its owner may read."""
        file = self.desk(who) / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        os.chown(file, self.people[who], self.people[who])
        return file

    def _in_namespace(self) -> Sequence[str]:
        binds = " && ".join(f"mount --bind {self.folder}/etc-{name} /etc/{name}" for name in ("passwd", "group"))
        return "unshare", "--mount", "--", "sh", "-c", f'{binds} && exec "$@"', "sh"


def as_user(uid: int) -> Sequence[str]:
    """A command's beginning that makes it ``uid``'s; root is itself."""
    return () if uid == 0 else ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--")


def people_can_work() -> bool:
    """Whether this machine lets us be several people."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("unshare", "setpriv")):
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "--", *as_user(SERVICE), DOCKD, "--version"], capture_output=True, cwd="/", timeout=60
    )
    return tried.returncode == 0


@contextlib.contextmanager
def opened(url: str = "sqlite:///register.db") -> Iterator[Office]:
    """An office with a founded station whose service does not run yet."""
    if not people_can_work():
        pytest.skip("needs root, and a Python that other users may run")
    folder = Path(tempfile.mkdtemp(prefix="dockd-office-", dir="/tmp"))
    office = Office(folder, url)
    try:
        office.found()
        yield office
    finally:
        office.stop()
        shutil.rmtree(folder)
