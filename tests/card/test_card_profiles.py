"""Each shipped profile knows a sample card of its family: the names are those found in public sources."""

from __future__ import annotations

from datetime import datetime

import pytest
from laid_card import NOW

from dockd.card.profile import Profiles, load_profiles
from dockd.nouns import (
    Classified,
    ContainerClock,
    Entry,
    EntryType,
    Listing,
    MediaType,
    MtimeClock,
    ParsedName,
    Place,
    Reading,
)

PROFILES = load_profiles(None)

SAMPLES = {
    "gbpe": [
        "DCIM/100ANDRO/012345_8888888_20160129205547_0001.mp4",
        "DCIM/100ANDRO/012345_8888888_20160129205552_0002.mp4",
        "DCIM/101ANDRO/012345_8888888_20160129210930_0004IMP.mp4",
        "DCIM/100ANDRO/012345_8888888_20160129211002_0005.jpg",
        "DCIM/100ANDRO/012345_8888888_20160129211100_0006.wav",
        "DCIM/100ANDRO/8888888_000000_20160129220000_0008.mp4",
        "DCIM/SEGTEMP/012345_8888888_20160129205527_0000.mp4",
        "DCIM/LOGS/20160129.log",
        "gbpe.prop",
        "LOST.DIR/1024",
        "System Volume Information/IndexerVolumeGuid",
    ],
    "gbpe dated": [
        "DCIM/100ANDRO/8888888/012345/20190305/20190305083012_0001.mp4",
        "DCIM/101ANDRO/8888888/012345/20190305/20190305084100_0004IMP.mp4",
        "DCIM/100ANDRO/8888888/012345/20190305/20190305084210_0005.jpg",
        "DCIM/100ANDRO/8888888/000000/20190304/20190304235958_0009.mp4",
        "DCIM/LOGS/20190305.log",
        "gbpe.prop",
    ],
    "gat947": [
        "pedata/TA00716/20170623/TA00716_JX0227_20170623093621.MOV",
        "TA00716_O21234_20170623101010_0002.MOV",
    ],
    "dcam": [
        "DCIM/DCAM_CAM001_000001_20260804_100000_IMP.mp4",
        "DCIM/DCAM_CAM001_000001_20260804_101000.mp4",
        "DCIM/DCAM_CAM001_000001_20260804_102000.jpg",
        "DCIM/DCAM_CAM001_000001_20260804_103000.m4a",
    ],
    "ambarella-a9": [
        "DCIM/210305/0000_JSMITH_20210305142233_0001.MP4",
        "DCIM/210305/0000_JSMITH_20210305150102_0003.JPG",
        "DCIM/210306/0000_JSMITH_20210306092000_0002.MP4",
        "System Volume Information/WPSettings.dat",
    ],
    "boblov": [
        "FILE/100china/20240611_081502_0001.MP4",
        "FILE/100china/20240611_083000_0003.JPG",
        "FILE/100china/20240611_084500_0004.WAV",
        "LOG/20240611.txt",
    ],
    "tecsar": ["files/data/CLIP0001.MP4", "files/data/CLIP0002.MP4"],
    "drivepro-body": ["DPB20/2021_0305_142233_01.MP4", "DPB20/20210305_142233.MP4", "2021_0305_142233.JPG"],
    "motorola-export": ["BryanMerritt_202511292257_BWL7137497-0.mp4"],
    "axon-export": ["AXON_Body_2_Video_2024-11-29_2256_001.mp4"],
    "dahua": ["recno/463.dav", "20210705101910.dav"],
    "havis": ["Jan.01.2006/CAR12_Jan.01.2006_01.00.00.avi", "Jan.01.2006/CAR12_Jan.01.2006_01.10.00+.avi"],
    "digital-ally": ["01F4999902007041602323501.asf", "01F4999902007041602323501.mtd", "Power.txt"],
    "blackvue": [
        "BlackVue/Record/20191224_113912_NF.mp4",
        "BlackVue/Record/20191224_113912_NR.mp4",
        "BlackVue/Record/19700101_000000_NF.mp4",
        "BlackVue/Record/20191224_113912_NF.thm",
        "BlackVue/Record/20191224_113912_N.gps",
        "BlackVue/Record/20191224_113912_N.3gf",
    ],
    "ddpai": [
        "DCIM/200video/front/20260728141441_0060.mp4",
        "DCIM/200video/rear/20260728141442_0060_A.mp4",
        "DCIM/203gps/tar/20260728141441_0540.git",
        "DCIM/203gps/tar/tmp/20260728131441_0540.git",
        "DCIM/203gps/20260728141441_0060.gpx",
    ],
    "thinkware": [
        "cont_rec/REC_20210101_120000_F.mp4",
        "cont_rec/REC_20210101_120000_R.mp4",
        "evt_rec/EVT_20210101_120100_F.mp4",
        "park_rec/PARK_20210101_180000_R.mp4",
        "manual_rec/MAN_20210101_120200_F.mp4",
    ],
    "70mai": ["Normal/Front/NO20191130-120556-000125.MP4", "Event/EV20191130-120156-000121.MP4"],
    "gopro": ["DCIM/100GOPRO/GX010048.MP4", "DCIM/100GOPRO/GX010048.THM", "DCIM/100GOPRO/GL010048.LRV"],
    "dji": [
        "DCIM/100MEDIA/DJI_0008.JPG",
        "DCIM/100MEDIA/DJI_0009.MP4",
        "DCIM/100MEDIA/DJI_0009.SRT",
        "MISC/GIS/dji.gis",
    ],
    "dcim": ["DCIM/100MEDIA/FILE0042.MP4", "DCIM/Camera/20240128_105420.mp4", "DCIM/100CANON/IMG_0001.JPG"],
    "generic": ["VIDEO/clip one.mp4", "20240128_105420.mp4", "notes.bin"],
}


def listing_of(*paths: str) -> Listing:
    entries = [Entry(path.encode(), EntryType.FILE, size=1) for path in paths]
    return Listing(tuple(sorted(entries, key=lambda entry: entry.path)), NOW)


def classify(profile: str, path: str) -> Classified:
    return PROFILES.by_name[profile].classify(Entry(path.encode(), EntryType.FILE, size=1))


def parse(profile: str, path: str) -> ParsedName:
    parsed = classify(profile, path).parsed
    assert parsed is not None
    return parsed


def test_there_is_a_sample_card_for_every_shipped_profile() -> None:
    assert {name.split()[0] for name in SAMPLES} == set(PROFILES.names)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_card_of_the_family_is_recognised_and_all_of_it_is_kept(name: str) -> None:
    listing = listing_of(*SAMPLES[name])
    profile = PROFILES.choose(listing, None, None)
    assert profile.name == name.split()[0]
    kept = [entry for entry in listing.entries if not profile.classify(entry).skip]
    assert len(kept) == len(listing.entries) - sum(b"System Volume" in entry.path for entry in listing.entries)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_card_full_of_clutter_is_still_recognised(name: str) -> None:
    clutter = [f"FOUND.000/FILE{number:04d}.MP4" for number in range(40)] + [".Trashes/501/old.MP4", "Thumbs.db"]
    chosen = PROFILES.choose(listing_of(*SAMPLES[name], *clutter), None, None)
    assert chosen.name == name.split()[0]


@pytest.mark.parametrize(
    ("profile", "path", "readings", "wall", "sequence", "important", "unmarked", "channel"),
    [
        (
            "gbpe",
            "DCIM/100ANDRO/012345_7654321_20160129205547_0001.mp4",
            (Reading("012345", "7654321"), Reading("7654321", "012345")),
            datetime(2016, 1, 29, 20, 55, 47),
            "0001",
            False,
            "012345_7654321_20160129205547_0001.mp4",
            None,
        ),
        (
            "gbpe",
            "DCIM/101ANDRO/012345_8888888_20160129210930_0004IMP.mp4",
            (Reading("012345", None), Reading(None, "012345")),
            datetime(2016, 1, 29, 21, 9, 30),
            "0004",
            True,
            "012345_8888888_20160129210930_0004.mp4",
            None,
        ),
        (
            "gbpe",
            "DCIM/100ANDRO/8888888_000000_20160129220000_0008.mp4",
            (),
            datetime(2016, 1, 29, 22),
            "0008",
            False,
            "8888888_000000_20160129220000_0008.mp4",
            None,
        ),
        (
            "gbpe",
            "DCIM/101ANDRO/7654321/012345/20190305/20190305084100_0004IMP.mp4",
            (Reading("7654321", "012345"),),
            datetime(2019, 3, 5, 8, 41),
            "0004",
            True,
            "20190305084100_0004.mp4",
            None,
        ),
        (
            "gbpe",
            "DCIM/100ANDRO/20190305083012_0001.mp4",
            (),
            datetime(2019, 3, 5, 8, 30, 12),
            "0001",
            False,
            "20190305083012_0001.mp4",
            None,
        ),
        (
            "gat947",
            "pedata/TA00716/20170623/TA00716_JX0227_20170623093621.MOV",
            (Reading("TA00716", "JX0227"), Reading("JX0227", "TA00716")),
            datetime(2017, 6, 23, 9, 36, 21),
            None,
            False,
            "TA00716_JX0227_20170623093621.MOV",
            None,
        ),
        (
            "gat947",
            "VIDEO/TA00716/JX0227/20170623/20170623093621_0001.mp4",
            (Reading("TA00716", "JX0227"), Reading("JX0227", "TA00716")),
            datetime(2017, 6, 23, 9, 36, 21),
            "0001",
            False,
            "20170623093621_0001.mp4",
            None,
        ),
        (
            "dcam",
            "DCAM_CAM001_000321_20260804_100000_IMP.mp4",
            (Reading("CAM001", "000321"),),
            datetime(2026, 8, 4, 10),
            None,
            True,
            "DCAM_CAM001_000321_20260804_100000.mp4",
            None,
        ),
        (
            "ambarella-a9",
            "DCIM/210305/0000_JSMITH_20210305142233_0001.MP4",
            (Reading("0000_JSMITH", "JSMITH"),),
            datetime(2021, 3, 5, 14, 22, 33),
            "0001",
            False,
            "0000_JSMITH_20210305142233_0001.MP4",
            None,
        ),
        (
            "ambarella-a9",
            "DCIM/210305/00000012345620210305142233.MP4",
            (Reading("000000123456", "123456"),),
            datetime(2021, 3, 5, 14, 22, 33),
            None,
            False,
            "00000012345620210305142233.MP4",
            None,
        ),
        (
            "motorola-export",
            "BryanMerritt_202511292257_BWL7137497-0.mp4",
            (Reading("BWL7137497", "BryanMerritt"),),
            datetime(2025, 11, 29, 22, 57),
            "0",
            False,
            "BryanMerritt_202511292257_BWL7137497-0.mp4",
            None,
        ),
        (
            "axon-export",
            "AXON_Body_2_Video_2024-11-29_2256_001.mp4",
            (),
            datetime(2024, 11, 29, 22, 56),
            "001",
            False,
            "AXON_Body_2_Video_2024-11-29_2256_001.mp4",
            None,
        ),
        (
            "havis",
            "Jan.01.2006/CAR12_Jan.01.2006_01.12.15#.avi",
            (Reading("CAR12", "CAR12"),),
            datetime(2006, 1, 1, 1, 12, 15),
            None,
            True,
            "CAR12_Jan.01.2006_01.12.15.avi",
            None,
        ),
        (
            "digital-ally",
            "01F4999902007041602323501.asf",
            (Reading("01F499990", None),),
            datetime(2007, 4, 16, 2, 32, 35),
            "01",
            False,
            "01F4999902007041602323501.asf",
            None,
        ),
        (
            "blackvue",
            "BlackVue/Record/19700101_000000_NF.mp4",
            (),
            datetime(1970, 1, 1),
            None,
            False,
            "19700101_000000_NF.mp4",
            "F",
        ),
        (
            "ddpai",
            "DCIM/200video/rear/20260728141442_0060_A.mp4",
            (),
            datetime(2026, 7, 28, 14, 14, 42),
            "0060",
            False,
            "20260728141442_0060_A.mp4",
            "A",
        ),
        (
            "thinkware",
            "park_rec/PARK_20210101_180000_R.mp4",
            (),
            datetime(2021, 1, 1, 18),
            None,
            False,
            "PARK_20210101_180000_R.mp4",
            "R",
        ),
        (
            "70mai",
            "NO20191130-120556-000125.MP4",
            (),
            datetime(2019, 11, 30, 12, 5, 56),
            "000125",
            False,
            "NO20191130-120556-000125.MP4",
            None,
        ),
        ("gopro", "DCIM/100GOPRO/GX010048.MP4", (), None, "010048", False, "GX010048.MP4", None),
        ("dji", "DCIM/100MEDIA/DJI_0009.MP4", (), None, "0009", False, "DJI_0009.MP4", None),
        ("dahua", "recno/463.dav", (), None, "463", False, "463.dav", None),
        (
            "drivepro-body",
            "DPB20/2021_0305_142233_01.MP4",
            (),
            datetime(2021, 3, 5, 14, 22, 33),
            "01",
            False,
            "2021_0305_142233_01.MP4",
            None,
        ),
        (
            "boblov",
            "FILE/100china/20240611_081502_0001.MP4",
            (),
            datetime(2024, 6, 11, 8, 15, 2),
            "0001",
            False,
            "20240611_081502_0001.MP4",
            None,
        ),
        (
            "generic",
            "VIDEO/20190514/101112.mp4",
            (),
            datetime(2019, 5, 14, 10, 11, 12),
            None,
            False,
            "101112.mp4",
            None,
        ),
    ],
)
def test_a_name_is_read(profile, path, readings, wall, sequence, important, unmarked, channel) -> None:
    parsed = parse(profile, path)
    assert parsed.readings == readings
    assert parsed.wall == wall
    assert (parsed.sequence, parsed.important, parsed.unmarked, parsed.channel) == (
        sequence,
        important,
        unmarked,
        channel,
    )


def test_a_marked_copy_reads_like_its_original_apart_from_the_mark() -> None:
    original = parse("gbpe", "DCIM/100ANDRO/012345_7654321_20160129210930_0004.mp4")
    copy = parse("gbpe", "DCIM/101ANDRO/012345_7654321_20160129210930_0004IMP.mp4")
    assert (original.unmarked, original.wall, original.sequence) == (copy.unmarked, copy.wall, copy.sequence)
    assert (original.important, copy.important) == (False, True)


def test_a_time_that_is_none_is_kept_as_text_only() -> None:
    parsed = parse("gat947", "TA00716_JX0227_00000000000000.MOV")
    assert (parsed.wall, parsed.time_text) == (None, "00000000000000")
    assert parsed.readings[0] == Reading("TA00716", "JX0227")


@pytest.mark.parametrize("number", ["0000000", "8888888", "99999", "000000", "0", "000000000000"])
def test_a_number_that_means_unset_is_no_number(number: str) -> None:
    assert PROFILES.is_unset(number)
    assert parse("dcam", f"DCAM_{number}_000321_20260804_100000.mp4").readings == (Reading(None, "000321"),)


@pytest.mark.parametrize("number", ["012345", "88888888", "TA00716", "00A", "999990"])
def test_a_number_that_only_looks_like_it_is_one(number: str) -> None:
    assert not PROFILES.is_unset(number)


@pytest.mark.parametrize(
    ("profile", "path", "media", "place"),
    [
        ("gbpe", "DCIM/SEGTEMP/012345_8888888_20160129205527_0000.mp4", MediaType.VIDEO, Place.TEMP),
        ("gbpe", "DCIM/100ANDRO/012345_8888888_20160129211100_0006.wav", MediaType.AUDIO, Place.NORMAL),
        ("gbpe", "DCIM/LOGS/20160129.log", MediaType.LOG, Place.NORMAL),
        ("gbpe", "gbpe.prop", MediaType.CONFIG, Place.NORMAL),
        ("boblov", "LOG/20240611.txt", MediaType.LOG, Place.NORMAL),
        ("ddpai", "DCIM/203gps/tar/20260728141441_0540.git", MediaType.SIDECAR, Place.NORMAL),
        ("ddpai", "DCIM/203gps/tar/tmp/20260728131441_0540.git", MediaType.SIDECAR, Place.TEMP),
        ("dji", "DCIM/100MEDIA/DJI_0009.SRT", MediaType.SIDECAR, Place.NORMAL),
        ("dji", "DCIM/100MEDIA/DJI_0009.DNG", MediaType.PHOTO, Place.NORMAL),
        ("dji", "MISC/GIS/dji.gis", MediaType.CONFIG, Place.NORMAL),
        ("gopro", "DCIM/100GOPRO/GX010048.THM", MediaType.THUMBNAIL, Place.NORMAL),
        ("gopro", "DCIM/100GOPRO/GL010048.LRV", MediaType.THUMBNAIL, Place.NORMAL),
        ("blackvue", "BlackVue/Record/20191224_113912_N.3gf", MediaType.SIDECAR, Place.NORMAL),
        ("digital-ally", "Power.txt", MediaType.LOG, Place.NORMAL),
        ("dahua", "recno/463.dav", MediaType.VIDEO, Place.NORMAL),
        ("gbpe", "DCIM/.thumbnails/1700000000.jpg", MediaType.THUMBNAIL, Place.NORMAL),
        ("gbpe", "LOST.DIR/1024", MediaType.OTHER, Place.RECOVERED),
        ("generic", "no extension", MediaType.OTHER, Place.NORMAL),
        ("generic", ".mp4", MediaType.OTHER, Place.NORMAL),
    ],
)
def test_kind_and_place_of_a_file(profile: str, path: str, media: MediaType, place: Place) -> None:
    said = classify(profile, path)
    assert (said.media, said.place) == (media, place)


def test_what_is_no_file_is_of_no_kind_and_what_could_not_be_examined_keeps_its_name() -> None:
    profile = PROFILES.by_name["gat947"]
    name = b"TA00716_JX0227_20170623093621.MOV"
    assert profile.classify(Entry(name, EntryType.SYMLINK)) == Classified(MediaType.OTHER)
    assert profile.classify(Entry(name, EntryType.DIRECTORY, error="EIO")) == Classified(MediaType.OTHER)
    lost = profile.classify(Entry(name, EntryType.UNKNOWN, error="EIO"))
    assert lost.media is MediaType.VIDEO
    assert lost.parsed is not None


def test_clocks_are_those_of_the_family() -> None:
    clocks = {name: (p.clock.container, p.clock.mtime) for name, p in PROFILES.by_name.items()}
    assert clocks["gbpe"] == (ContainerClock.END_UTC, MtimeClock.END)
    assert clocks["ambarella-a9"] == (ContainerClock.LOCAL_AS_UTC, MtimeClock.END)
    assert clocks["motorola-export"] == (ContainerClock.UNRELIABLE, MtimeClock.UNRELIABLE)
    assert clocks["dji"] == (ContainerClock.UTC, MtimeClock.END)
    assert clocks["generic"] == (ContainerClock.UNRELIABLE, MtimeClock.END)


class TestChoice:
    def test_the_registered_profile_is_taken_whatever_the_card_looks_like(self) -> None:
        assert PROFILES.choose(listing_of(*SAMPLES["gbpe"]), None, "boblov").name == "boblov"

    def test_a_registered_profile_that_is_gone_does_not_stop_a_visit(self) -> None:
        assert PROFILES.choose(listing_of(*SAMPLES["gbpe"]), None, "no-such").name == "gbpe"

    def test_an_empty_card_is_known_by_its_label_or_a_tell_tale_file(self) -> None:
        assert PROFILES.choose(listing_of(), "CAM01", None).name == "tecsar"
        assert PROFILES.choose(listing_of(), "0000_JSMITH", None).name == "ambarella-a9"
        assert PROFILES.choose(listing_of("gbpe.prop"), None, None).name == "gbpe"
        assert PROFILES.choose(listing_of(), None, None).name == "generic"

    def test_less_than_half_of_the_recordings_name_no_family(self) -> None:
        some = [f"a/clip {number}.mp4" for number in range(5)]
        assert PROFILES.choose(listing_of(*some, *SAMPLES["boblov"][:3]), None, None).name == "generic"

    def test_names_of_a_card_that_was_not_recognised_are_read_all_the_same(self) -> None:
        parsed = parse("generic", "a/TA00716_JX0227_20170623093621.MOV")
        assert parsed.grammar == "generic/gat947"
        assert Reading("TA00716", "JX0227") in parsed.readings

    def test_one_unreadable_name_does_not_give_the_card_to_a_broader_profile(self) -> None:
        assert PROFILES.choose(listing_of(*SAMPLES["gbpe"], "DCIM/odd.mp4"), None, None).name == "gbpe"

    def test_a_big_card_is_chosen_from_a_sample(self) -> None:
        paths = [f"cont_rec/REC_20210101_{number:06d}_F.mp4" for number in range(5000)]
        assert PROFILES.choose(listing_of(*paths), None, None).name == "thinkware"


def test_profiles_are_found_by_name() -> None:
    assert isinstance(PROFILES, Profiles)
    assert PROFILES.last_resort.name == "generic"
    assert all(profile.title_en and profile.title_zh for profile in PROFILES.by_name.values())
