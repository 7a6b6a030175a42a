"""The dock's decisions, with scripted devices and a clock that only the test moves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockd.nouns import Rung
from dockd.service.devices import Block, Gadget, Ownership, Sighting
from dockd.service.dock import Act, Back, Begin, Dock, Go, Gone, Rules, Unlock
from dockd.service.stays import Report, State
from dockd.visit.request import Claim, Phase, Progress, Turn

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=8)))
BAYS = {"1-1": ("A1", False), "1-2": ("A2", False), "1-3": ("A3", True), "2-1": ("B1", False)}
RULES = Rules(settle_s=2, return_s=10, visits=2, per_controller=2, bays=BAYS)


def block(port: str = "1-1", *, seq: int = 1, uuid: str = "", controller: str = "pci", name: str = "") -> Block:
    return Block(
        name=name or f"sd-{port}",
        number=hash(name or port) & 0xFFFF,
        diskseq=seq,
        port=port,
        controller=controller,
        ownership=Ownership.CARD,
        fs_type="vfat",
        fs_uuid=uuid or f"uuid-{port}",
        sectors=1000,
    )


def gadget(port: str = "1-1", address: str = "1:5") -> Gadget:
    return Gadget(port, "pci", address, "4255", "0001", "S1", "Ambarella", "A9")


class World:
    """A dock, what is plugged into it, and the time."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.dock = Dock(rules)
        self.now = 1000.0
        self.blocks: set[Block] = set()
        self.gadgets: set[Gadget] = set()

    @property
    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.now)

    def plug(self, *devices: Block | Gadget) -> list[Act]:
        self.blocks |= {one for one in devices if isinstance(one, Block)}
        self.gadgets |= {one for one in devices if isinstance(one, Gadget)}
        return self.see()

    def pull(self, port: str = "1-1") -> list[Act]:
        self.blocks = {one for one in self.blocks if one.port != port}
        self.gadgets = {one for one in self.gadgets if one.port != port}
        return self.see()

    def see(self) -> list[Act]:
        self.dock.see(Sighting(frozenset(self.blocks), frozenset(self.gadgets)), now=self.now, wall=self.wall)
        return self.decide()

    def decide(self) -> list[Act]:
        return self.dock.decide(now=self.now, wall=self.wall)

    def wait(self, seconds: float) -> list[Act]:
        self.now += seconds
        return self.decide()

    def docked(self, *devices: Block | Gadget) -> list[Begin]:
        """Plugs in and lets it settle."""
        self.plug(*devices)
        return [act for act in self.wait(2) if isinstance(act, Begin)]

    def ask(self, key: int, hours: float | None = None) -> list[Act]:
        """A visit has listed its card: the next deadline is in so many hours."""
        deadline = self.wall + timedelta(hours=hours) if hours is not None else None
        self.dock.asked(key, Turn(key * 10, deadline, False, 1, 1000))
        return self.decide()

    def end(self, key: int, *, safe: bool = True, late: int = 0) -> list[Act]:
        self.dock.reported(key, Report(key * 10, "complete" if safe else "partial", safe, late))
        return self.decide()

    def state(self, port: str = "1-1") -> State:
        return self.dock.stays[port].state


# --- plugging in -----------------------------------------------------------------------------------------------


def test_a_card_is_read_when_it_has_settled_and_not_before() -> None:
    world = World()
    assert world.plug(block()) == []
    assert world.wait(1.9) == []
    (act,) = world.wait(0.1)
    assert act == Begin(1, block(), "1-1", "A1", NOON + timedelta(seconds=1000)), "docked when it was plugged in"
    assert world.wait(1) == [], "once"


def test_a_device_that_keeps_changing_is_waited_for() -> None:
    world = World()
    world.plug(block(seq=1))
    world.wait(1)
    world.blocks = {block(seq=2)}
    world.see()
    assert world.wait(1.5) == []
    assert len(world.wait(0.5)) == 1


def test_devices_that_are_there_at_the_start_are_read_like_any() -> None:
    world = World()
    world.blocks = {block("1-1"), block("1-2")}
    world.see()
    assert {act.bay for act in world.wait(2) if isinstance(act, Begin)} == {"A1", "A2"}


def test_a_reader_gets_its_card_by_a_change() -> None:
    world = World()
    empty = replace(block(), ownership=Ownership.EMPTY, sectors=0, fs_type="", fs_uuid="")
    assert world.docked(empty) == []
    assert world.state() is State.EMPTY
    world.blocks = {block(seq=2)}
    world.see()
    assert len(world.wait(2)) == 1


def test_a_blank_card_is_shown_and_not_opened() -> None:
    world = World()
    assert world.docked(replace(block(), ownership=Ownership.BLANK)) == []
    assert world.state() is State.FAILED


def test_a_recorder_with_two_cards_is_one_stay_with_two_visits() -> None:
    world = World()
    begun = world.docked(block(name="sdb"), block(name="sdc", uuid="other"))
    assert len(begun) == 2
    for act in begun:
        world.dock.claimed(act.key, Claim("YS-07", Rung.VOLUME, f"fs:{act.key}", 1))
    assert world.dock.stays["1-1"].device_no == "YS-07"
    world.end(begun[0].key)
    assert world.state() is State.IDENTIFYING, "not safe before both are"
    world.end(begun[1].key)
    assert world.state() is State.DONE


def test_both_sides_of_a_usb_3_socket_and_a_recorders_own_hub_are_one_bay() -> None:
    world = World(replace(RULES, bays={"1-1": ("A1", False), "2-1": ("A1", False)}))
    (begun,) = world.docked(block("2-1", seq=1))
    assert (begun.bay, begun.port) == ("A1", "1-1")
    world.pull("2-1")
    world.plug(block("1-1.4", seq=2, uuid="uuid-2-1", name="sd-2-1"))
    assert [type(act) for act in world.wait(2)] == [Back]


def test_bays_that_change_in_the_configuration_drop_no_visit() -> None:
    world = World(replace(RULES, bays={}))
    (begun,) = world.docked(block("1-1.2"))
    world.ask(begun.key, 1)
    world.dock.rules = replace(RULES, bays={"2-1": ("B7", False), "1-1": ("B7", False)})
    assert world.see() == []
    assert world.wait(60) == []
    world.end(begun.key)
    world.pull("1-1.2")
    world.wait(10)
    (again,) = world.docked(block("1-1.2", seq=2))
    assert (again.bay, again.port) == ("B7", "2-1"), "from the next stay on"


# --- going away and coming back --------------------------------------------------------------------------------


def test_a_card_that_comes_back_within_seconds_goes_on_in_the_same_visit() -> None:
    world = World()
    (begun,) = world.docked(block(seq=1))
    world.ask(begun.key, 1)
    assert world.pull() == []
    world.wait(5)
    world.plug(block(seq=2))
    assert world.wait(2) == [Back(begun.key, block(seq=2))]


def test_a_card_that_stays_away_is_given_up_after_the_time_to_return() -> None:
    world = World()
    (begun,) = world.docked(block())
    world.ask(begun.key, 1)
    world.pull()
    assert world.wait(9.9) == []
    assert world.wait(0.1) == [Gone(begun.key)]
    assert world.wait(100) == [], "once"
    world.end(begun.key, safe=False)
    assert "1-1" not in world.dock.stays
    assert world.dock.removed["A1"].state is State.REMOVED_EARLY


def test_a_card_that_was_away_while_it_waited_for_its_turn_gets_it_at_once() -> None:
    world = World(replace(RULES, visits=1))
    first, second = world.docked(block("1-1"), block("1-2"))
    world.ask(first.key, 1)
    assert world.ask(second.key, 2) == []
    assert world.pull(second.port) == [Go(second.key)], "so that its visit can end"


def test_another_card_in_the_same_bay_is_a_visit_of_its_own() -> None:
    world = World()
    (begun,) = world.docked(block(seq=1, uuid="one"))
    world.pull()
    world.plug(block(seq=2, uuid="two"))
    (act,) = world.wait(2)
    assert isinstance(act, Begin)
    assert act.key != begun.key
    assert world.wait(10) == [Gone(begun.key)]


def test_a_finished_card_that_re_enumerates_is_not_read_again() -> None:
    world = World()
    (begun,) = world.docked(block(seq=1))
    world.end(begun.key)
    world.pull()
    world.plug(block(seq=2))
    assert world.wait(2) == []
    assert world.state() is State.DONE


def test_a_finished_card_that_is_docked_again_later_is_a_new_visit() -> None:
    world = World()
    (begun,) = world.docked(block(seq=1))
    world.end(begun.key)
    world.pull()
    world.wait(10)
    assert world.dock.stays == {}
    (again,) = world.docked(block(seq=2))
    assert again.key != begun.key


def test_an_unfinished_card_that_comes_back_after_its_visit_ended_is_read_at_once() -> None:
    world = World()
    (begun,) = world.docked(block(seq=1))
    world.pull()
    world.end(begun.key, safe=False)
    world.plug(block(seq=2))
    (act,) = world.wait(2)
    assert isinstance(act, Begin)
    assert act.key != begun.key


def test_a_reader_that_stays_while_its_card_is_taken_out_is_empty_again() -> None:
    world = World()
    (begun,) = world.docked(block(), gadget())
    world.end(begun.key)
    world.blocks = {replace(block(seq=2), ownership=Ownership.EMPTY)}
    world.see()
    world.wait(10)
    assert world.state() is State.EMPTY


# --- whose turn it is ------------------------------------------------------------------------------------------


def test_the_nearest_deadline_goes_first_and_a_priority_bay_above_it() -> None:
    world = World(replace(RULES, visits=1))
    world.plug(*(block(port) for port in BAYS))
    begun = {act.port: act.key for act in world.wait(2) if isinstance(act, Begin)}
    assert len(begun) == 3, "three times as many as can be copied are listed"
    assert world.dock.stays["1-3"].cards[0].at_work, "the priority bay is among them"
    first = next(iter(sorted(begun)))
    assert world.ask(begun[first], 20) == [Go(begun[first])]
    rest = [port for port in begun if port != first]
    for hours, port in zip((9, 3), rest, strict=True):
        assert world.ask(begun[port], hours) == []
    order = [card.kept.port for card in world.dock.queue()]
    assert order[0] == "1-3", "priority above any deadline"
    acts = world.end(begun[first])
    assert Go(begun[order[0]]) in acts


def test_without_priority_the_deadline_alone_decides_and_unknown_ones_come_last() -> None:
    world = World(replace(RULES, visits=1, bays={}))
    keys = [act.key for act in world.docked(*(block(port) for port in ("1-1", "1-2", "1-3")))]
    world.ask(keys[0], 20)
    world.ask(keys[1], None)
    world.ask(keys[2], 2)
    assert [card.key for card in world.dock.queue()] == [keys[2], keys[1]]


def test_a_controller_bears_only_so_many_and_others_pass_by() -> None:
    world = World(replace(RULES, visits=3, per_controller=1))
    begun = {act.port: act.key for act in world.docked(block("1-1"), block("1-2"), block("2-1", controller="other"))}
    assert world.ask(begun["1-1"], 1) == [Go(begun["1-1"])]
    assert world.ask(begun["1-2"], 2) == []
    assert world.ask(begun["2-1"], 9) == [Go(begun["2-1"])]


def test_a_turn_is_free_when_the_recorder_may_be_removed_though_its_files_are_still_described() -> None:
    world = World(replace(RULES, visits=1))
    first, second = world.docked(block("1-1"), block("1-2"))
    world.ask(first.key, 1)
    world.ask(second.key, 2)
    world.dock.progressed(first.key, Progress(Phase.SAFE))
    assert world.decide() == [Go(second.key)]


# --- troubles --------------------------------------------------------------------------------------------------


def fail(world: World, key: int, trouble: str, *, waits: bool = False, ours: bool = False) -> list[Act]:
    world.dock.failed(key, trouble, waits=waits, ours=ours, now=world.now)
    return world.decide()


def test_the_stores_trouble_is_waited_for_as_long_as_it_takes() -> None:
    world = World()
    (begun,) = world.docked(block())
    for _ in range(20):
        assert fail(world, begun.key, "store_missing", waits=True) == []
        assert world.state() is State.PAUSED
        (again,) = world.wait(60)
        assert isinstance(again, Begin)
        assert again.docked_at == begun.docked_at, "whoever docked in time has not to answer for the wait"


def test_a_fault_of_ours_is_tried_three_times_and_then_the_bay_says_so() -> None:
    world = World()
    (begun,) = world.docked(block())
    fail(world, begun.key, "fault", ours=True)
    assert len(world.wait(2)) == 1
    fail(world, begun.key, "fault", ours=True)
    assert len(world.wait(5)) == 1
    fail(world, begun.key, "fault", ours=True)
    assert world.wait(3600) == []
    assert world.state() is State.FAILED


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        ("recorder_not_registered", State.UNKNOWN),
        ("not_answering", State.NOT_ANSWERING),
        ("card_unmountable", State.FAILED),
        ("recorder_out_of_service", State.OUT_OF_SERVICE),
    ],
)
def test_what_no_waiting_cures_is_shown_until_the_recorder_is_taken_out(trouble: str, state: State) -> None:
    world = World()
    (begun,) = world.docked(block())
    fail(world, begun.key, trouble)
    assert world.wait(3600) == []
    assert world.state() is state


def test_a_card_that_another_program_has_is_tried_again() -> None:
    world = World()
    (begun,) = world.docked(block())
    fail(world, begun.key, "card_mounted_elsewhere")
    assert world.state() is State.FAILED
    assert len(world.wait(2)) == 1


def test_a_second_recorder_with_the_same_identity_is_named_and_gets_none() -> None:
    world = World()
    first, second = world.docked(block("1-1"), block("1-2"))
    claim = Claim("YS-07", Rung.VOLUME, "fs:one", 1)
    assert world.dock.claimed(first.key, claim) is None
    assert world.dock.claimed(second.key, replace(claim, instance="fs:two")) == world.dock.bay(first.port)
    assert world.dock.stays[second.port].device_no is None
    world.end(first.key)
    assert world.dock.claimed(second.key, claim) is not None, "also when the first one is done and still there"


def test_one_card_that_is_seen_in_two_places_is_a_twin_too() -> None:
    world = World()
    first, second = world.docked(block("1-1"), block("1-2"))
    world.dock.claimed(first.key, Claim(None, Rung.NONE, "fs:same", 1))
    assert world.dock.claimed(second.key, Claim(None, Rung.NONE, "fs:same", 1)) == world.dock.bay(first.port)


def test_a_card_that_is_read_elsewhere_at_this_moment_is_found_by_all_that_is_seen_of_it() -> None:
    world = World()
    first, second = world.docked(block("1-1", uuid="same"), block("1-2", uuid="same"))
    world.dock.claimed(first.key, Claim("YS-07", Rung.VOLUME, "fs:same", 1))
    assert world.dock.copy_of(second.key) == (world.dock.bay(first.port), "YS-07")
    world.end(first.key)
    assert world.dock.copy_of(second.key) is None


# --- locked ----------------------------------------------------------------------------------------------------


def test_a_recorder_without_a_disk_is_connected_and_locked() -> None:
    world = World()
    world.plug(gadget())
    world.wait(4)
    assert world.state() is State.IDENTIFYING, "its disk may still come"
    world.wait(1)
    assert world.state() is State.LOCKED


def test_a_recorder_that_the_configuration_can_unlock_is_asked_at_most_twice_and_its_disk_is_the_same_stay() -> None:
    world = World(replace(RULES, can_unlock=lambda one: one.vendor == "4255"))
    world.plug(gadget())
    docked_at = world.wall
    assert world.wait(2) == [Unlock("1-1", gadget())]
    assert world.state() is State.UNLOCKING
    assert world.wait(100) == [], "while the command runs"
    world.dock.unlocked("1-1", "", now=world.now, serial="2107731")
    world.pull()
    world.wait(1)
    world.plug(gadget(address="1:6"), block())
    (begun,) = world.wait(2)
    assert isinstance(begun, Begin)
    assert begun.docked_at == docked_at
    assert begun.driver_serial == "2107731", "the recorder's own word"


def test_a_recorder_that_stays_locked_is_not_asked_for_ever() -> None:
    world = World(replace(RULES, can_unlock=lambda _one: True))
    world.plug(gadget())
    asked = 0
    for _ in range(20):
        for _act in world.wait(10):
            asked += 1
            world.dock.unlocked("1-1", "unlock_failed", now=world.now)
    assert asked == 2
    assert world.state() is State.LOCKED


def test_a_device_that_is_in_no_bay_is_never_unlocked() -> None:
    world = World(replace(RULES, bays={}, can_unlock=lambda _one: True))
    world.plug(gadget())
    assert world.wait(60) == []


# --- whatever happens ------------------------------------------------------------------------------------------

PORTS = ("1-1", "1-2", "1-3", "2-1")
STEPS = st.one_of(
    st.tuples(st.just("plug"), st.sampled_from(PORTS), st.integers(0, 2)),
    st.tuples(st.just("pull"), st.sampled_from(PORTS), st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.integers(0, 12)),
    st.tuples(st.sampled_from(["ask", "end", "part", "store", "fault"]), st.just(""), st.integers(0, 20)),
)


class Workers:
    """Carries acts out as far as a test needs it, and looks that none is wrong."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reading: dict[int, Block] = {}
        self.going: set[int] = set()

    def carry_out(self, acts: list[Act]) -> None:
        for act in acts:
            if isinstance(act, Begin):
                assert act.key not in self.reading, "a visit has one worker"
                assert act.block in self.world.blocks, "what is read is there"
                self.reading[act.key] = act.block
            elif isinstance(act, Go | Back | Gone):
                assert act.key in self.reading, "orders go to workers"
                if isinstance(act, Go):
                    self._go(act.key)
        held = Counter((one.number, one.diskseq) for one in self.reading.values() if one in self.world.blocks)
        assert all(count == 1 for count in held.values()), "no card has two readers"

    def _go(self, key: int) -> None:
        assert key not in self.going, "a turn is given once"
        if self.reading[key] in self.world.blocks:
            busy = [one for one in self.going if self.reading[one] in self.world.blocks]
            assert len(busy) < RULES.visits
        self.going.add(key)

    def do(self, what: str, number: int) -> None:
        """One of the workers asks for its turn or ends, in one of the ways in which workers end."""
        key = sorted(self.reading)[number % len(self.reading)]
        if what == "ask":
            if key not in self.going:
                self.carry_out(self.world.ask(key, number))
            return
        self.reading.pop(key)
        self.going.discard(key)
        if what in ("end", "part"):
            self.carry_out(self.world.end(key, safe=what == "end"))
        else:
            self.carry_out(fail(self.world, key, what, waits=what == "store", ours=what == "fault"))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_whatever_is_plugged_and_pulled_no_card_is_read_twice_at_once_and_no_limit_is_passed(
    steps: list[tuple[str, str, int]],
) -> None:
    world = World()
    workers = Workers(world)
    for seq, (what, port, number) in enumerate(steps):
        if what == "plug":
            world.blocks = {one for one in world.blocks if one.port != port}
            workers.carry_out(world.plug(block(port, seq=seq, uuid=f"{port}-{number}")))
        elif what == "pull":
            workers.carry_out(world.pull(port))
        elif what == "wait":
            workers.carry_out(world.wait(number))
        elif workers.reading:
            workers.do(what, number)
    world.blocks = set()
    workers.carry_out(world.see())
    for _ in range(30):
        while workers.reading:
            workers.do("end", 0)
        workers.carry_out(world.wait(60))
    assert world.dock.stays == {}, "an empty dock remembers nothing"
    assert world.dock.next_at(world.now) is None, "and waits for nothing"
