"""Guests for the scenarios. The first one takes minutes (see ``vm_debian``), every further one seconds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import vm_cards
import vm_debian
import vm_guest
import vm_machine
import vm_station
from vm_cards import Card, MakeCard
from vm_machine import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, in either half: two guests at once end at about the same time.

    Two workers begin with a half each, and who has none left takes from the other's end (``--dist worksteal``).
    """
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    half = len(items) // 2 - len(long[::2])
    items[:] = [*long[::2], *short[:half], *long[1::2], *short[half:]]


@pytest.fixture(scope="session")
def image() -> Path:
    """The disk on which dockd is installed."""
    if reason := vm_debian.why_not():
        pytest.skip(f"no virtual machine: {reason}")
    with vm_debian.alone():
        try:
            vm_debian.base()
        except vm_debian.CannotBuild as error:
            pytest.skip(f"no virtual machine: {error}")
        return vm_guest.installed()


@pytest.fixture(scope="session")
def saved(image: Path) -> Path:
    """The guest at work: booted, the service running, twelve bays and recorders known."""
    with vm_debian.alone():
        return vm_machine.saved_guest(image, vm_station.prepare)


@pytest.fixture
def guest(saved: Path) -> Iterator[Machine]:
    with vm_machine.resumed(saved) as machine:
        yield machine


@pytest.fixture
def make_card() -> Iterator[MakeCard]:
    """``make_card("A1", fs_type="exfat")``: the card of the recorder of a bay. At the end no byte of it has changed."""
    made: list[tuple[Card, str]] = []
    with tempfile.TemporaryDirectory(prefix="dockd-cards-") as folder:

        def make(bay: str, **how: Any) -> Card:
            number = vm_station.recorder_of(bay)[0]
            name = f"{bay}-{how.get('seed', 0)}.img"
            card = vm_cards.make_card(Path(folder, name), **({"device_no": number} | how))
            made.append((card, card.digest))
            return card

        yield make
        for card, digest in made:
            assert card.digest == digest, f"{card.image.name} was changed"


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``figure("3.1 s from plug-in to safe")``: a line when the test has ended, whatever comes after it."""

    def note(text: str) -> None:
        request.node.user_properties.append(("figure", text))

    return note


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and not os.environ.get("PYTEST_XDIST_WORKER"):
        for name, text in report.user_properties:
            if name == "figure":
                print(f"\n{report.nodeid.rpartition('::')[2]}: {text} ({vm_machine.accelerator()})", flush=True)
