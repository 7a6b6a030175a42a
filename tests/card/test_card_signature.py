"""Media is known by its first bytes, as ffmpeg and cameras write them; other things are not taken for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.card.signature import HEAD_BYTES, media_by_signature
from dockd.nouns import MediaType

PICTURE = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=2"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=400:sample_rate=8000:duration=2"]
SHARP = ["-f", "lavfi", "-i", "sine=frequency=400:sample_rate=44100:duration=2"]
MADE = [
    ("a.mp4", [*PICTURE], MediaType.VIDEO),
    ("a.mov", [*PICTURE], MediaType.VIDEO),
    ("a.3gp", [*PICTURE, "-c:v", "mpeg4"], MediaType.VIDEO),
    ("frag.mp4", [*PICTURE, "-movflags", "frag_keyframe+empty_moov"], MediaType.VIDEO),
    ("a.avi", [*PICTURE, "-c:v", "mjpeg"], MediaType.VIDEO),
    ("a.ts", [*PICTURE], MediaType.VIDEO),
    ("a.m2ts", [*PICTURE, "-f", "mpegts", "-mpegts_m2ts_mode", "1"], MediaType.VIDEO),
    ("a.mpg", [*PICTURE, "-r", "25"], MediaType.VIDEO),
    ("a.m2v", [*PICTURE, "-c:v", "mpeg2video", "-r", "25", "-f", "mpeg2video"], MediaType.VIDEO),
    ("a.mkv", [*PICTURE, "-c:v", "mpeg4"], MediaType.VIDEO),
    ("a.asf", [*PICTURE, "-c:v", "msmpeg4"], MediaType.VIDEO),
    ("a.flv", [*PICTURE, "-c:v", "flv1"], MediaType.VIDEO),
    ("a.h264", [*PICTURE, "-c:v", "libx264", "-f", "h264"], MediaType.VIDEO),
    ("a.mxf", [*PICTURE, "-c:v", "mpeg2video", "-r", "25"], MediaType.VIDEO),
    ("a.jpg", [*PICTURE, "-frames:v", "1"], MediaType.PHOTO),
    ("a.png", [*PICTURE, "-frames:v", "1"], MediaType.PHOTO),
    ("a.tiff", [*PICTURE, "-frames:v", "1"], MediaType.PHOTO),
    ("a.wav", [*SOUND], MediaType.AUDIO),
    ("a.mp3", [*SHARP, "-c:a", "libmp3lame"], MediaType.AUDIO),
    ("bare.mp3", [*SHARP, "-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"], MediaType.AUDIO),
    ("low.mp3", [*SOUND, "-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"], MediaType.AUDIO),
    ("a.mp2", [*SHARP, "-c:a", "mp2"], MediaType.AUDIO),
    ("a.aac", [*SHARP, "-c:a", "aac"], MediaType.AUDIO),
    ("a.m4a", [*SHARP, "-c:a", "aac"], MediaType.AUDIO),
    ("a.ogg", [*SHARP, "-c:a", "flac"], MediaType.AUDIO),
    ("a.flac", [*SOUND], MediaType.AUDIO),
    ("a.aiff", [*SOUND], MediaType.AUDIO),
    ("a.caf", [*SOUND], MediaType.AUDIO),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for name, options, _media in MADE:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *options, "-threads", "1", folder / name]
        subprocess.run(command, check=True)
    return folder


@pytest.mark.parametrize(("name", "media"), [(name, media) for name, _, media in MADE])
def test_what_ffmpeg_writes_is_known_by_its_first_bytes(made: Path, name: str, media: MediaType) -> None:
    content = (made / name).read_bytes()
    assert media_by_signature(content[:HEAD_BYTES]) is media
    assert media_by_signature(content[:4096]) is media


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", MediaType.PHOTO),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00", MediaType.AUDIO),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00", MediaType.VIDEO),
        (b"\x00\x00\x00\x00mdat" + bytes(64), MediaType.VIDEO),
        (b"\xe0\x00\x00\x00mdat" + bytes(64), MediaType.VIDEO),
        (b"\x00\x00\x00\x01mdat\x00\x00\x00\x01\x00\x00\x00\x00", MediaType.VIDEO),
        (b"\x00\x00\x00\x08wide\x00\x01\x00\x00mdat", MediaType.VIDEO),
        (b"\x00\x01\x00\x00free" + bytes(100), MediaType.VIDEO),
        (b"\x00\x00\x04\x00moov\x00\x00\x00\x6cmvhd", MediaType.VIDEO),
        (b"DHAV\xfd\x00\x00\x00", MediaType.VIDEO),
        (b"II*\x00\x08\x00\x00\x00", MediaType.PHOTO),
        (b"MM\x00*\x00\x00\x00\x08", MediaType.PHOTO),
        (b"#!AMR\n\x3c", MediaType.AUDIO),
        (b"#!AMR-WB\n\x44", MediaType.AUDIO),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", MediaType.PHOTO),
        (b"OggS\x00\x02" + bytes(22) + b"\x01\x2a\x80theora", MediaType.VIDEO),
        (b"\x00\x00\x00\x01\x67\x42\x00\x1e", MediaType.VIDEO),
        (b"\x00\x00\x00\x01\x40\x01\x0c\x01", MediaType.VIDEO),
    ],
)
def test_what_cameras_write_is_known_by_its_first_bytes(head: bytes, media: MediaType) -> None:
    assert media_by_signature(head) is media


@pytest.mark.parametrize(
    "head",
    [
        b"",
        bytes(4096),
        b"\xff" * 4096,
        b"GGGGGGGG are all here",
        b"are free of charge",
        b"2016-01-29 20:55:47 startRecord\n",
        b"[binding]\nrecorder_serial=TA00716\n",
        b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ",
        b"\x00\x00\x00\x01Bud1\x00\x00\x10\x00",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"SQLite format 3\x00",
        b"PK\x03\x04",
        b"\xff\xfe[\x00b\x00i\x00n\x00d\x00",
        b"$GPRMC,121441.000,A,0000.0000,N,00000.0000,E",
    ],
)
def test_other_things_are_not_taken_for_media(head: bytes) -> None:
    assert media_by_signature(head) is None


@given(st.binary(max_size=2048))
def test_no_bytes_make_it_fail(head: bytes) -> None:
    assert media_by_signature(head) in (None, *MediaType)
