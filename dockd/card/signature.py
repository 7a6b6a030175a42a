"""What media a file's first bytes announce, whatever its name says. Pure; a strong hint, never proof."""

from __future__ import annotations

from dockd.nouns import MediaType

HEAD_BYTES = 64 << 10

_VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"FLV\x01",
    b"DHAV",  # Dahua
    b"DAHUA",
    b"IMKH",  # Hikvision
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG-1/2 video
    b"\x00\x00\x01\xb0",  # MPEG-4 part 2
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",  # MXF
)
_PHOTO_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",  # TIFF, DNG and most raw formats
    b"MM\x00*",
    b"II+\x00",  # BigTIFF
    b"MM\x00+",
    b"IIU\x00",  # Panasonic raw
    b"IIRO",  # Olympus raw
    b"FUJIFILMCCD-RAW",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",  # JPEG 2000
)
_AUDIO_STARTS = (b"#!AMR\n", b"#!AMR-WB\n", b"ID3", b"fLaC", b"ADIF", b"caff\x00\x01")
_RIFF_FORMS = {b"AVI ": MediaType.VIDEO, b"AVIX": MediaType.VIDEO, b"WAVE": MediaType.AUDIO, b"WEBP": MediaType.PHOTO}
_PHOTO_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"crx "})
_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A "})
_ATOMS = frozenset({b"moov", b"mdat", b"moof", b"styp", b"sidx", b"pnot"})
_FILLERS = frozenset({b"free", b"skip", b"wide"})
_MPEG_BITRATES = {
    # kbit/s by (is MPEG-1, layer); index 0 is "free" and 15 "bad".
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def media_by_signature(head: bytes) -> MediaType | None:
    """The kind of recording that begins with ``head``, None when nothing is recognised.

    ``HEAD_BYTES`` are enough for every format; fewer find less, never something else.
    """
    for starts, media in ((_VIDEO_STARTS, "video"), (_PHOTO_STARTS, "photo"), (_AUDIO_STARTS, "audio")):
        if head.startswith(starts):
            return MediaType(media)
    for look in (_iso_media, _riff, _ogg, _transport_stream, _bare_video, _mpeg_audio, _adts, _aiff):
        if found := look(head):
            return found
    return None


def _iso_media(head: bytes) -> MediaType | None:
    """MP4, MOV, 3GP, HEIC: a size and a four-letter atom, for broken files any of the usual first ones."""
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind == b"ftyp":
        brand = head[8:12]
        if brand in _PHOTO_BRANDS:
            return MediaType.PHOTO
        return MediaType.AUDIO if brand in _AUDIO_BRANDS else MediaType.VIDEO
    if kind in _ATOMS and (size in (0, 1) or size >= 8):
        return MediaType.VIDEO
    if kind in _FILLERS and 8 <= size < 16 << 20:
        following = head[size + 4 : size + 8]
        known = not following or following == b"ftyp" or following in _ATOMS or following in _FILLERS
        return MediaType.VIDEO if known else None
    return None


def _riff(head: bytes) -> MediaType | None:
    return _RIFF_FORMS.get(head[8:12]) if head[:4] in (b"RIFF", b"RF64", b"BW64") else None


def _ogg(head: bytes) -> MediaType | None:
    if not head.startswith(b"OggS\x00"):
        return None
    return MediaType.VIDEO if b"\x80theora" in head[:4096] else MediaType.AUDIO


def _transport_stream(head: bytes) -> MediaType | None:
    """TS, MTS, M2TS: the sync byte again and again at the packet's distance."""
    for first, step in ((0, 188), (4, 192), (0, 204)):
        syncs = head[first::step][:8]
        if len(syncs) >= 3 and syncs == b"\x47" * len(syncs):
            return MediaType.VIDEO
    return None


def _bare_video(head: bytes) -> MediaType | None:
    """H.264 and H.265 without a container: a start code and a parameter set or access unit delimiter."""
    for code in (b"\x00\x00\x00\x01", b"\x00\x00\x01"):
        if head.startswith(code) and len(head) > len(code) + 1:
            first, second = head[len(code)], head[len(code) + 1]
            if first in (0x27, 0x47, 0x67) or (first == 0x09 and second & 0x1F == 0x10):
                return MediaType.VIDEO
            if first in (0x40, 0x42, 0x46) and second == 0x01:
                return MediaType.VIDEO
    return None


def _mpeg_audio(head: bytes) -> MediaType | None:
    """MP3 and MP2 without a tag: two frames in a row, since one sync word is too little to go by."""
    size = _mpeg_frame(head)
    return MediaType.AUDIO if size and _mpeg_frame(head[size : size + 4]) else None


def _mpeg_frame(head: bytes) -> int:
    """The length in bytes of the MPEG audio frame that begins here, 0 for none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_at, bits_at, pad = head[2] >> 2 & 3, head[2] >> 4, head[2] >> 1 & 1
    rates, bits = _MPEG_RATES.get(version), _MPEG_BITRATES.get((version == 3, layer))
    if rates is None or bits is None or rate_at == 3 or bits_at in (0, 15):
        return 0
    samples = 72 if layer == 3 and version != 3 else 144
    return samples * bits[bits_at] * 1000 // rates[rate_at] + pad


def _adts(head: bytes) -> MediaType | None:
    """AAC in ADTS: two frames in a row."""
    size = _adts_frame(head)
    return MediaType.AUDIO if size and _adts_frame(head[size : size + 7]) else None


def _adts_frame(head: bytes) -> int:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 0xF > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0


def _aiff(head: bytes) -> MediaType | None:
    return MediaType.AUDIO if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC") else None
