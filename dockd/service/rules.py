"""The site's match list for udev, made from the configuration: which devices are marked as recorders.

``python -m dockd.service.rules FILE [RULES]`` reads the configuration FILE and prints the rules, or writes them
to RULES; if that changed anything, udev reads its rules again and looks at what is plugged in once more.
The rules set ``DOCKD_CAMERA``; what follows from it is said in ``udev/72-dockd.rules``. What ``unlock`` names is, in a
bay, given to the service's group besides.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dockd.errors import DockdError
from dockd.locale import _, configured_language, use_language
from dockd.settings import Kind, Settings, load_settings

_GROUP = "dockd"  # as in systemd/dockd.sysusers
_USB_PORT = re.compile(r"\d+-\d+(\.\d+)*")
_SLOT = re.compile(r"mmc\d+")
_HEAD = """\
# Written by dockd from {file}: change that file, not this one.
ACTION=="remove", GOTO="dockd_match_end"
SUBSYSTEM!="block|usb", GOTO="dockd_match_end"
SUBSYSTEM=="block", ENV{{DEVTYPE}}!="disk|partition", GOTO="dockd_match_end"
SUBSYSTEM=="usb", ENV{{DEVTYPE}}!="usb_device", GOTO="dockd_match_end"
# A hub or a keyboard in a bay is no recorder.
SUBSYSTEM=="usb", ATTR{{bDeviceClass}}=="09", GOTO="dockd_match_end"
SUBSYSTEM=="usb", ENV{{ID_USB_INTERFACES}}==":03????:|:03????:03????:|:03????:03????:03????:", GOTO="dockd_match_end"
"""
_END = 'LABEL="dockd_match_end"\n'


def match_rules(settings: Settings) -> str:
    """The file of rules for ``settings``."""
    lines = [line for kind in settings.devices for line in _lines(kind, settings)]
    lines += _reached(settings)
    return _HEAD.format(file=settings.file) + "".join(line + "\n" for line in lines) + _END


def ports_of(kind: Kind, settings: Settings) -> tuple[str, ...]:
    """The ports that a kind of device is taken from: those of its bay."""
    bays = [bay for name, bay in settings.bays.items() if kind.bay in ("*", name)]
    return tuple(port for bay in bays for port in bay.ports)


def _lines(kind: Kind, settings: Settings) -> Iterator[str]:
    """One line, or with a bay two or more: the port and what is plugged into it are two devices to udev."""
    own = _conditions(kind)
    if kind.bay is None:
        yield ", ".join((*own, 'ENV{DOCKD_CAMERA}="1"'))
        return
    ports = ports_of(kind, settings)
    yield from _in_a_bay(ports)
    yield ", ".join(('ENV{.DOCKD_BAY}=="1"', *own, 'ENV{DOCKD_CAMERA}="1"'))


def _in_a_bay(ports: Sequence[str]) -> Iterator[str]:
    # Keys that begin with a dot are forgotten when the rules are through.
    yield 'ENV{.DOCKD_BAY}=""'
    for bus, pattern in (("usb", _USB_PORT), ("mmc_host", _SLOT)):
        if names := "|".join(port for port in ports if pattern.fullmatch(port)):
            yield f'SUBSYSTEMS=="{bus}", KERNELS=="{names}", ENV{{.DOCKD_BAY}}="1"'


def _reached(settings: Settings) -> Iterator[str]:
    """What a command may unlock, in a bay, can be reached by the service's group: the command is not root's."""
    if settings.unlock:
        yield from _in_a_bay([port for bay in settings.bays.values() for port in bay.ports])
    for vendor, product in sorted({(one.vendor.lower(), one.product.lower()) for one in settings.unlock}):
        yield (
            f'ENV{{.DOCKD_BAY}}=="1", SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", ATTR{{idProduct}}=="{product}", '
            f'GROUP="{_GROUP}", MODE="0660"'
        )


def _conditions(kind: Kind) -> Iterator[str]:
    for attribute, value in (("idVendor", kind.vendor), ("idProduct", kind.product), ("serial", kind.serial)):
        if value is not None:
            yield f'ATTRS{{{attribute}}}=="{value if attribute == "serial" else value.lower()}"'
    if kind.label is not None:
        # udev keeps labels with "_" for what it takes for unsafe.
        yield f'ENV{{ID_FS_LABEL}}=="{kind.label.replace(" ", "_")}"'


def write_rules(text: str, path: Path) -> bool:
    """The rules stand in ``path``; False when they already did."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return True


def look_again() -> None:
    """udev reads its rules anew and applies them to what is plugged in already."""
    subprocess.run(["udevadm", "control", "--reload"], check=True)
    subprocess.run(
        ["udevadm", "trigger", "--action=change", "--subsystem-match=block", "--subsystem-match=usb"], check=True
    )


def main(argv: Sequence[str]) -> int:
    use_language("en" if configured_language(argv[0]) == "en" else "zh")
    try:
        text = match_rules(load_settings(Path(argv[0])))
    except DockdError as error:
        print(f"{error.render(_)}\n{error.render_hint(_)}", file=sys.stderr)
        return int(error.exit_code)
    if len(argv) < 2:
        print(text, end="")
    elif write_rules(text, Path(argv[1])):
        look_again()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
