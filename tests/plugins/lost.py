"""A bureau with a rich history whose register gets lost, and what two registers say differently, row by row."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bureau import DOCKED, LI, WANG, Bureau, media
from faultfs import Fault, FaultyCard
from sqlalchemy import Engine, create_engine, make_url, select

from dockd.register import alerts, recorders
from dockd.register.tables import Table

Rows = list[dict[str, Any]]


def contents(url: str) -> dict[str, Rows]:
    """Every row of every table, in the order of their keys."""
    engine = create_engine(url)
    try:
        return {table.name: _rows(engine, table) for table in Table.metadata.sorted_tables}
    finally:
        engine.dispose()


def _rows(engine: Engine, table: Any) -> Rows:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def differences(before: dict[str, Rows], after: dict[str, Rows]) -> set[str]:
    """``table.column`` where rows of the same key differ, ``table +`` or ``table -`` where there are more or fewer."""
    found = set()
    for table in Table.metadata.sorted_tables:
        keys = [column.name for column in table.primary_key]
        one = {tuple(row[key] for key in keys): row for row in before[table.name]}
        other = {tuple(row[key] for key in keys): row for row in after[table.name]}
        found |= {f"{table.name} -" for key in one if key not in other}
        found |= {f"{table.name} +" for key in other if key not in one}
        found |= {
            f"{table.name}.{c}" for key in one.keys() & other.keys() for c in one[key] if one[key][c] != other[key][c]
        }
    return found


def lose(bureau: Bureau) -> Path:
    """The register's file is gone; returns where it is kept for the test."""
    kept = bureau.folder.parent / "kept.db"
    for suffix in ("-wal", "-shm"):
        (bureau.folder / f"register.db{suffix}").unlink(missing_ok=True)
    shutil.move(bureau.folder / "register.db", kept)
    return kept


def url_of(bureau: Bureau) -> str:
    return f"sqlite:///{bureau.folder / 'register.db'}"


def use_database(bureau: Bureau, url: str) -> None:
    """From now on the station's register is at ``url``."""
    text = bureau.config.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("register:"))
    shown = make_url(url).render_as_string(hide_password=False)
    bureau.config.write_text(text.replace(line, f'register: {{url: "{shown}", wait_s: 10}}'), encoding="utf-8")


def live(bureau: Bureau, card: FaultyCard | None = None, files: Path | None = None) -> None:
    """Some days of a bureau: every kind of ledger line is written. With ``card``, which shows ``files``, damage too."""
    keep_registers(bureau)
    dock_first(bureau)
    dock_again(bureau)
    dock_others(bureau)
    if card and files:
        dock_damaged(bureau, card, files)
    look_after(bureau)
    keep_law(bureau)
    say_more(bureau)
    lose_a_file(bureau)


def keep_registers(bureau: Bureau) -> None:
    """Officers, recorders, cases and custody, added, changed and ended."""
    _import(
        bureau,
        "officer",
        "officer_cert_no,officer_name,badge,unit",
        "13012303,赵敏,012347,",
        f"{WANG},王建国,012345,二大队",
    )
    _import(bureau, "recorder", "device_no,device_serial,model,unit", "YS-08,2107732,DSJ-A7,二大队", "YS-09,2107733,,")
    works = f"A-1,无证采矿,张某；李某,{WANG},2026-11-23T08:00,2026-11-23T09:00,北乡,检查"
    bureau.cases(works, f"A-2,占用土地,赵某,{LI},2026-11-22T08:00,,南乡,取证")
    bureau.cases(works.replace("09:00", "09:30"), f"A-2,占用土地,赵某,{LI},2026-11-22T08:00,2026-11-22T12:00,南乡,取证")
    bureau.dockd("case", "renumber", "A-2", "B-2")
    bureau.cases(f"A-3,占用土地,赵某,{LI},2026-11-20T08:00,2026-11-20T09:00,,")
    bureau.cases(f"A-3,占用土地,赵某,{LI},2026-11-20T10:00,2026-11-20T11:00,,", whole=True)
    bureau.dockd("case", "close", "A-2", "--at", "2026-11-22T18:00")
    bureau.issue(WANG, DOCKED - timedelta(days=3), DOCKED - timedelta(hours=1))
    bureau.dockd(
        "recorder", "issue", "YS-08", LI, "--battery", "80", "--until", (DOCKED + timedelta(days=1)).isoformat()
    )
    bureau.dockd("recorder", "issue", "YS-08", WANG, "--override", "the first one is ill")
    bureau.dockd("recorder", "return", "YS-09", "--at", (DOCKED - timedelta(hours=2)).isoformat())  # nobody had it
    station = bureau.open()
    with station.register.write() as session:
        recorders.trust_identity(
            session, "YS-08", "label", "DOCK8", station_no="S1", now=station.now(), actor="person:tester"
        )
    station.mirror_ledger()
    station.close()


def _import(bureau: Bureau, noun: str, header: str, *lines: str) -> None:
    file = bureau.folder / f"{noun}s.csv"
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    bureau.dockd(noun, "import", file)


def dock_first(bureau: Bureau) -> None:
    """A card with everything on it: in time and late, odd names, a log, a link, what nobody stores."""
    bureau.record(8.25)
    bureau.record(9, day=20, number=2)
    bureau.record(9.5, number=3, folder="$RECYCLE.BIN")
    bureau.lay(b"DCIM/\xff\xfe odd\n.mp4", media("odd"))
    bureau.lay("DCIM/LOGS/1.log", b"power on\n")
    bureau.lay("System Volume Information/IndexerVolumeGuid", b"{0}")
    (bureau.card / "link.mp4").symlink_to("/etc/passwd")
    (bureau.card / "empty").mkdir()
    bureau.attend(bay="3", person="person:tester", note="first")


def dock_again(bureau: Bureau) -> None:
    """The same card: known files, one new one, and the important-mark copy of a known one."""
    bureau.clock.move(hours=2)
    bureau.record(10, number=4)
    marked = bureau.record(8.25, folder="DCIM/101ANDRO", mark="IMP")
    original = marked.replace("101ANDRO", "100ANDRO").replace("IMP", "")
    shutil.copy2(bureau.card / original, bureau.card / marked)
    bureau.attend(bay="3")


def dock_others(bureau: Bureau) -> None:
    """A card with nothing on it, one of nobody's recorder, and one whose recorder two numbers claim."""
    bureau.clock.move(hours=1)
    card, bureau.card = bureau.card, bureau.folder.parent / "other"
    bureau.card.mkdir()
    bureau.offload("--device-no", "YS-09")
    bureau.lay("DCIM/clip.mp4", media("nobody's"))
    bureau.dockd("offload", bureau.card, code=6)
    bureau.record(7, serial="2107731")
    bureau.offload("--device-no", "YS-08", "--docked-at", "2026-11-23T09:00")
    bureau.card = card


def dock_damaged(bureau: Bureau, card: FaultyCard, files: Path) -> None:
    """A worn card: a hole, a file that cannot be opened, one taken up later, one that has changed when it is back."""
    lay_long(files, "ZLONG")
    bureau.clock.move(hours=1)
    mine, bureau.card = bureau.card, card.path
    card.spoil("DCIM/HOLE.MP4", Fault(unreadable=((4096, 8192),)))
    card.spoil("DCIM/SHUT.MP4", Fault(refuses_open=True))
    card.spoil("DCIM/ZLONG.MP4", Fault(gone_at=1 << 20))
    bureau.offload("--device-no", "YS-07", code=3)
    card.heal()
    bureau.clock.move(hours=1)
    bureau.offload("--device-no", "YS-07")
    lay_long(files, "ZNEW")
    card.spoil("DCIM/ZNEW.MP4", Fault(gone_at=1 << 20))
    bureau.offload("--device-no", "YS-07", code=3)
    card.heal()
    os.utime(files / "DCIM/ZNEW.MP4", (1_795_390_005, 1_795_390_005))  # it is another file now
    bureau.offload("--device-no", "YS-07")
    bureau.card = mine


def lay_damaged(files: Path) -> None:
    """What lies on the card of ``dock_damaged``."""
    (files / "DCIM").mkdir(parents=True)
    for name, size in (("HOLE", 20_000), ("SHUT", 3000)):
        (files / f"DCIM/{name}.MP4").write_bytes(media(name, size))
        os.utime(files / f"DCIM/{name}.MP4", (1_795_390_000, 1_795_390_000))


def lay_long(files: Path, name: str) -> None:
    """A recording of some length on it."""
    (files / f"DCIM/{name}.MP4").write_bytes(media(name, 3 << 20))
    os.utime(files / f"DCIM/{name}.MP4", (1_795_390_000, 1_795_390_000))


def look_after(bureau: Bureau) -> None:
    """Checks, maintenance, a fault with its repair, and the end of a recorder."""
    bureau.dockd("recorder", "change", "YS-09", "--attribute", "防爆", "--custodian", "钱某")
    bureau.dockd("recorder", "inspect", "YS-09", "--battery", "90", "--note", "as it should be")
    for kind in ("maintained", "cared_for", "kept"):
        bureau.dockd("recorder", "maintain", "YS-09", "--kind", kind, "--text", "cleaned")
    bureau.dockd("recorder", "fault", "YS-09", "--text", "no picture", "--person", "赵敏")
    bureau.dockd("recorder", "restore", "YS-09", "--note", "the lens was covered")
    bureau.dockd("recorder", "repair", "YS-09", "--sent", "now", "--by", "Maker")
    bureau.clock.move(minutes=10)
    bureau.dockd("recorder", "repair", "YS-09", "--back", "now", "--result", "new lens", "--not-fit")
    bureau.dockd("recorder", "retire", "YS-09", "--reason", "old")
    station = bureau.open()
    with station.register.write() as session:
        (number, *_others) = [alert.alert_id for alert in alerts.list_alerts(session, kind="unassigned")]
        alerts.repeat_alert(session, number, at=station.now())
        alerts.escalate_alert(session, number, severity="warning", at=station.now())
    station.close()
    bureau.dockd("alert", "send")


def keep_law(bureau: Bureau) -> None:
    """An exception, a clock that was read, gaps that come, go and are explained, a case that is filed."""
    period = ("--from", "2026-11-20T06:00", "--to", "2026-11-23T09:00")
    bureau.dockd(
        *("exception", "add", "--device-no", "YS-07", "--reason", "water", *period),
        *("--declared-by", WANG, "--note", "reservoir"),
    )
    bureau.dockd("exception", "return", 1, "--at", "2026-11-23T08:00")
    bureau.dockd("exception", "confirm", 1, "--by", LI)
    bureau.dockd("recorder", "clock", "YS-08", "--reads", (bureau.clock() + timedelta(hours=1)).isoformat(), "--set")
    for number, hour in ((11, 11.5), (12, 11.55)):
        bureau.record(hour, number=number)
    bureau.attend()
    bureau.record(11.525, number=13)
    bureau.attend()
    first, *_others = [gap["interruption_id"] for gap in bureau.json("interruption", "list")]
    bureau.dockd("interruption", "explain", first, "--cause", "weather", "--form", "voice", "--position", "00:03")
    bureau.dockd("case", "filed", "A-2")


def say_more(bureau: Bureau) -> None:
    """Records are tagged, alerts acknowledged and closed, the store is verified."""
    bureau.clock.move(minutes=10)
    ids = [record["record_id"] for record in bureau.records()]
    bureau.dockd("record", "tag", ids[0], "--case", "A-1", "--officer", WANG, "--remark", "seen")
    bureau.dockd("record", "tag", ids[0], "--officer", WANG, "--officer", LI, "--evidence", "yes")
    bureau.dockd("record", "tag", ids[0], "--remark", "")
    opened = [alert["alert_id"] for alert in bureau.alerts()]
    bureau.dockd("alert", "ack", opened[0], "--note", "seen")
    bureau.dockd("alert", "ack", opened[1], "--note", "seen")
    bureau.dockd("alert", "close", opened[1], "--note", "done")
    bureau.dockd("verify")


def lose_a_file(bureau: Bureau) -> None:
    """A stored file vanishes, that is found, and the card has it still."""
    record = bureau.records()[0]
    (bureau.store / record["location"]).rename(bureau.folder / "gone")
    bureau.dockd("verify", code=5)
    bureau.clock.move(hours=1)
    bureau.attend()
    other = bureau.store / bureau.records()[1]["location"]
    data = other.read_bytes()
    other.chmod(0o640)
    other.write_bytes(data[:-1] + b"!")
    bureau.dockd("verify", code=5)
    other.write_bytes(data)
    other.chmod(0o440)
    bureau.dockd("verify")


def kinds_told(store: Path) -> set[str]:
    """Every kind of line in the ledger."""
    files: Iterable[Path] = store.glob("ledger/S1/*.jsonl")
    return {json.loads(line)["kind"] for file in files for line in file.read_text(encoding="utf-8").splitlines()}
