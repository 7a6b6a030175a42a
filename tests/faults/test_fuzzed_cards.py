"""Whatever lies on a card, the visit ends, all of it is stored as it is, and nothing else is touched."""

from __future__ import annotations

import base64
import http.server
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from bureau import Bureau, require_manifest
from dock import sha256
from faultfs import Fault, faulty_card
from hypothesis import HealthCheck, given, settings
from mutator import BY_HAND, Mutator, make_containers
from troubles import at_once

SEED = 20261123
PROBE_S = 10
"""What a parser may take for one file."""

OURS = ("station/store", "station/register.db", "station/exports", "station/.dockd")
"""Below these a station may write."""


@dataclass
class Ground:
    """Makes bureaus with empty cards, each in a folder of its own in which nothing but the station may change."""

    founded: Path
    folder: Path
    run: Callable[..., Any]
    clock: Any
    numbers: Iterator[int] = field(default_factory=count)

    def bureau(self) -> Bureau:
        place = self.folder / f"ground-{next(self.numbers)}"
        place.mkdir()
        (place / "bystander").write_text("nothing of a visit's business")
        shutil.copytree(self.founded, place / "station")
        bureau = Bureau(place / "station", self.run, self.clock)
        bureau.configure(f"probe: {{deadline_s: {PROBE_S}}}")
        return bureau


@pytest.fixture
def ground(founded: Path, tmp_path: Path, run_cli: Callable[..., Any], clock: Any) -> Ground:
    return Ground(founded, tmp_path, run_cli, clock)


def lay(bureau: Bureau, path: bytes, data: bytes, ns: int) -> bool:
    """Puts a file on the card if the names that are there already leave room for it."""
    target = os.path.join(os.fsencode(bureau.card), path)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return False
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    os.utime(target, ns=(ns, ns))
    return True


def snapshot(place: Path) -> dict[bytes, tuple[int, int, int, int]]:
    """Everything of a folder that a station may not write: kind, size, time and inode by path."""
    found = {}
    for folder, folders, names in os.walk(os.fsencode(place)):
        inside = os.path.relpath(folder, os.fsencode(place)).decode(errors="replace")
        if inside.startswith(OURS):
            folders.clear()
            continue
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            if not os.fsdecode(os.path.relpath(path, os.fsencode(place))).startswith(OURS):
                status = os.lstat(path)
                found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
    return {path: seen for path, seen in found.items() if path != os.fsencode(place / "station")}


def visit(bureau: Bureau) -> dict[str, Any]:
    """``dockd offload`` of the card, which must end 0 or 3 and change nothing but the station."""
    before, others = snapshot(bureau.folder.parent), children()
    ended = bureau.run("offload", bureau.card, "--device-no", "YS-07", "--json", config=bureau.config)
    assert ended.exit_code in (0, 3), ended.stderr
    assert "Traceback" not in ended.stderr
    assert snapshot(bureau.folder.parent) == before
    assert children() <= others, "a parser or worker was left"
    return dict(ended.json)


def children() -> set[str]:
    me = os.getpid()
    return set(Path(f"/proc/{me}/task/{me}/children").read_text().split())


def require_all_stored(bureau: Bureau, summary: dict[str, Any], laid: dict[bytes, bytes]) -> None:
    """Every file is stored with the digest of its bytes (or is an index file of an operating system)."""
    said = {path_of(file): file for file in summary["files"]}
    assert said.keys() == laid.keys()
    for path, file in said.items():
        if file["outcome"] == "skipped":
            assert file["reason"].startswith("system_index:")
            continue
        assert (file["outcome"], file["sha256"]) == ("stored", sha256(laid[path])), path
        assert (bureau.store / file["location"]).read_bytes() == laid[path]
    assert summary["outcome"] == "complete"
    assert not list(bureau.store.rglob("*.part"))
    if summary["manifest"]:
        require_manifest(bureau.store, summary["manifest"])


def path_of(file: dict[str, Any]) -> bytes:
    return base64.b64decode(file["path_b64"]) if "path_b64" in file else str(file["path"]).encode()


# --- names and trees ---------------------------------------------------------------------------------------------

# No name of a recording: parsers see only names that dockd gives, and asking them takes most of a visit.
PLAIN = st.sampled_from(
    [b"DCIM", b"100ANDRO", b"A.log", b"a.LOG", b"LOST.DIR", b"$RECYCLE.BIN", b"Thumbs.db", b"a.part"]
)
ODD = st.sampled_from(
    [b"-rf", b"...", b" ", b"\n", b"a\nb", b"\x1b[2J", b"%s%n", b"\\x41", b"=1+1", b"\xff\xfe", b"|sh", b"~"]
)
ANY = st.binary(min_size=1, max_size=255).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"0"))
TEXT = (
    st.text(min_size=1, max_size=60)
    .map(lambda text: text.encode("utf-8", "surrogatepass")[:255])
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"0"))
)
NAME = st.one_of(PLAIN, ODD, ANY, TEXT).filter(lambda name: name not in (b".", b".."))
TREE = st.lists(
    st.tuples(
        st.lists(NAME, min_size=1, max_size=5).map(b"/".join),
        st.binary(max_size=300),
        st.integers(-(2**31), 2**33).map(lambda seconds: seconds * 10**9 + 7),
    ),
    max_size=12,
)


def check_tree(ground: Ground, tree: list[tuple[bytes, bytes, int]]) -> None:
    bureau = ground.bureau()
    laid = {path: data for path, data, ns in tree if lay(bureau, path, data, ns)}
    try:
        require_all_stored(bureau, visit(bureau), laid)
    finally:
        shutil.rmtree(bureau.folder.parent)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREE)
def test_any_names_in_any_tree_are_stored_as_they_are(ground: Ground, tree: list[tuple[bytes, bytes, int]]) -> None:
    check_tree(ground, tree)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREE)
def test_any_names_in_many_trees_are_stored_as_they_are(ground: Ground, tree: list[tuple[bytes, bytes, int]]) -> None:
    check_tree(ground, tree)


ELSEWHERE = ["../../../station/dockd.yaml", "/etc/passwd", "..", ".", "not there"]


@pytest.mark.fuse
@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no access to /dev/fuse")
@pytest.mark.parametrize("name", at_once(ELSEWHERE, ELSEWHERE[0]))
def test_a_directory_that_names_what_lies_elsewhere_leads_nowhere(bureau: Bureau, tmp_path: Path, name: str) -> None:
    """A crafted file system's: the kernel refuses what has a slash, and the folder is told of; no name is trusted."""
    for folder in ("BAD", "GOOD"):
        lay(bureau, f"{folder}/A.log".encode(), folder.encode(), 1_763_800_000 * 10**9)
    with faulty_card(bureau.card, tmp_path / "reader") as card:
        card.spoil("BAD", Fault(names=(name,)))
        summary = bureau.run("offload", card.path, "--device-no", "YS-07", "--json", config=bureau.config).json
    said = {file["path"]: file["outcome"] for file in summary["files"]}
    assert said["GOOD/A.log"] == "stored"
    stored = {file["sha256"] for file in summary["files"] if file["outcome"] == "stored"}
    assert stored <= {sha256(b"BAD"), sha256(b"GOOD")}, "nothing but the card's own files"
    assert summary["outcome"] == ("complete" if name in (".", "..") else "partial")
    assert not bureau.holds(bureau.config.read_bytes())


# --- media ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make_containers(tmp_path_factory.mktemp("containers"))


def check_media(ground: Ground, files: dict[str, bytes]) -> dict[str, Any]:
    """A card of recordings under ordinary names; the visit's time is bounded by what parsers may take."""
    bureau = ground.bureau()
    laid = {f"DCIM/100ANDRO/{name}".encode(): data for name, data in files.items()}
    for number, (path, data) in enumerate(laid.items()):
        assert lay(bureau, path, data, (1_763_800_000 + number) * 10**9)
    begun = time.monotonic()
    summary = visit(bureau)
    assert time.monotonic() - begun < 30 + len(laid) * PROBE_S
    require_all_stored(bureau, summary, laid)
    records = {record["original_name"]: record for record in bureau.records()}
    assert records.keys() == files.keys(), "each has its record, whatever parsers said of it"
    return records


def mutants_of(containers: dict[str, bytes], seed: int, each: int) -> dict[str, bytes]:
    mutate = Mutator(containers, seed)
    return {f"{number:04d}.{name}": mutate(data) for name, data in containers.items() for number in range(each)}


def test_broken_recordings_are_stored_and_described_as_far_as_they_go(
    ground: Ground, containers: dict[str, bytes]
) -> None:
    check_media(ground, mutants_of(containers, SEED, 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED + 1, SEED + 9))
def test_many_broken_recordings_are_stored_and_described(
    ground: Ground, containers: dict[str, bytes], seed: int
) -> None:
    check_media(ground, mutants_of(containers, seed, 40))


@pytest.mark.slow
def test_recordings_that_were_made_to_hurt_parsers_hurt_nothing(ground: Ground) -> None:
    files = {f"{number}.{extension}": make() for number, (extension, make) in enumerate(BY_HAND.values())}
    check_media(ground, files)


# --- injection -----------------------------------------------------------------------------------------------------


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A web server; the list holds what was asked of it."""
    asked: list[str] = []

    class Serve(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serve) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def playlists(web: str, secret: Path) -> dict[str, bytes]:
    """Texts that programs would follow to other files and to the network, under names of films."""
    texts = {
        "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{at}\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile '{at}'\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        '<Representation id="1"><BaseURL>{at}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\nu={at}\n",
        "smil": '<smil><body><video src="{at}"/></body></smil>',
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<image xlink:href="{at}"/></svg>',
        "xmp": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "{at}">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&e;'
        "</x:xmpmeta>",
    }
    found = {}
    for name, text in texts.items():
        for way, at in (("file", f"file://{secret}"), ("web", f"{web}/{name}")):
            for extension in ("mp4", "jpg"):
                found[f"{name}-{way}.{extension}"] = text.format(at=at).encode()
    return found


def test_texts_that_lead_elsewhere_are_stored_and_not_followed(
    ground: Ground, containers: dict[str, bytes], web: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = web
    secret = tmp_path / "secret.ts"
    secret.write_bytes(containers["ts"])
    records = check_media(ground, playlists(url, secret))
    assert asked == []
    for name, record in records.items():
        assert not record["facts"].get("duration_s"), f"{name} was followed to the secret"
        assert not record["facts"].get("video_codec")
