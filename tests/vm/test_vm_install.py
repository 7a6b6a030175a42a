"""An upgrade without internet, from one file that was made where there is internet, and out again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from vm_cards import MakeCard
from vm_debian import ROOT, SUITE
from vm_machine import Machine
from vm_station import BAYS, CONFIG, REGISTER, STORE, dock, safe_visit, stored, wait_for

INSTALL_S = 900


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bundle") / "dockd.tar"
    subprocess.run([ROOT / "systemd/bundle", made, "--for", SUITE], check=True, capture_output=True)
    return made


# The register as the first release made it: what later revisions brought is taken away again.
_AS_RELEASED_FIRST = f"""
import sqlite3
register = sqlite3.connect("{REGISTER}")
register.executescript('''
    DROP INDEX ix_location_station_no_verified_at;
    ALTER TABLE location DROP COLUMN station_no;
    CREATE INDEX ix_location_verified_at ON location (verified_at);
    DROP INDEX ix_record_used_from_docked_at;
    CREATE INDEX ix_record_used_from ON record (used_from);
    DROP INDEX ix_revision_at;
    DROP INDEX ix_record_by_title;
    DROP INDEX ix_record_by_party;
    DROP INDEX ix_record_by_case_cause;
    DROP INDEX ix_record_by_matter;
    DROP INDEX ix_record_by_place;
    DROP INDEX ix_record_by_long;
    DROP INDEX ix_record_by_marks;
    UPDATE alembic_version SET version_num = '0001';
''')
"""


@pytest.mark.long
def test_an_upgrade_without_internet_migrates_and_changes_nothing_else_and_out_again_leaves_what_is_the_offices(
    guest: Machine, make_card: MakeCard, bundle: Path
) -> None:
    first, second = make_card("A1"), make_card("A2")
    plug, _began = dock(guest, "A1", first)
    before, _safe_at = safe_visit(guest, "A1", ended=True)
    guest.pull(plug)
    guest.run("systemctl stop dockd.service")
    guest.run("runuser -u dockd -- python3 -", stdin=_AS_RELEASED_FIRST.encode())
    refused = guest.run("systemctl start dockd.service; systemctl is-active dockd.service", check=False)
    assert "active" not in refused.split(), "an older register is not written to by chance"

    guest.run("ip route del default && ! timeout 20 apt-get -qq update -o APT::Update::Error-Mode=any 2>/dev/null")
    guest.run("apt-get -qq purge -y ffmpeg libimage-exiftool-perl python3-venv >/dev/null", patience_s=INSTALL_S)
    guest.hand_over(bundle, "/root/dockd.tar")
    guest.run("mkdir /root/in && cd /root/in && tar -xf /root/dockd.tar systemd udev README.md")
    configuration = guest.run(f"sha256sum {CONFIG}")
    dock(guest, "A2", second)
    guest.run("cd /root/in && ./systemd/install --bundle /root/dockd.tar", patience_s=INSTALL_S)
    assert (
        guest.run("systemctl is-active dockd.service dockd-mount.socket dockd-probe.socket").split() == ["active"] * 3
    )
    assert guest.run(f"sha256sum {CONFIG}") == configuration
    assert guest.run("ls -d /opt/dockd/env-*").count("env-") == 1
    assert guest.run(f"ls {REGISTER}.before-*").count("before-") == 1

    # The card that is in its bay already is read; what was stored before is still known.
    shown, _safe_at = safe_visit(guest, "A2", 300)
    assert stored(shown) == second.truth
    plug, _began = dock(guest, "A1", first)
    wait_for(guest, "len(visits()) == 3")
    shown, _safe_at = safe_visit(guest, "A1")
    assert {one["outcome"] for one in shown["files"]} == {"already_stored"}
    guest.run("dockd check --json >/dev/null; dockd verify && dockd ledger verify", patience_s=300)
    guest.pull(plug)

    guest.run("/root/in/systemd/install --uninstall", patience_s=INSTALL_S)
    assert guest.run("ls /opt/dockd /usr/local/bin/dockd 2>/dev/null", check=False) == ""
    assert guest.run("systemctl list-units --all --plain --no-legend 'dockd*'") == ""
    guest.run(f"test -s {CONFIG} && test -s {REGISTER} && cd {STORE} && sha256sum --quiet -c {before['manifest']}")
    guest.plug(BAYS["A3"], make_card("A3").image, serial="SN000003")
    guest.run("until udevadm info --export-db | grep -q SN000003; do sleep 0.5; done; udevadm settle")
    assert "dockd" not in guest.run("udevadm info --export-db | grep CURRENT_TAGS", check=False)
