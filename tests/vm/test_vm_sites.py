"""What only some sites have: recorders that must be unlocked, and a service that runs as root without systemd."""

from __future__ import annotations

from collections.abc import Callable

from vm_cards import MakeCard
from vm_machine import Machine
from vm_station import BAYS, CONFIG, STORE, dock, recorder_of, safe_visit, stored, wait_for

_UNLOCK = r"""
mkdir -p /usr/local/lib/dockd /etc/systemd/system/dockd.service.d
cat > /usr/local/lib/dockd/unlock <<'END'
#!/bin/sh
# A real one would speak to the device: whether it could is what is tried.
read -r password
[ "$password" = open ] || exit 3
exec 3<>"/dev/bus/usb/${DOCKD_ADDRESS%:*}/${DOCKD_ADDRESS#*:}" || exit 4
touch /var/lib/dockd/unlocked
echo "serial: @SERIAL@"
END
chmod 0755 /usr/local/lib/dockd/unlock
echo wrong > /etc/dockd/vendor.password && chmod 0600 /etc/dockd/vendor.password
cat > /etc/systemd/system/dockd.service.d/unlock.conf <<'END'
[Service]
PrivateDevices=no
DeviceAllow=char-usb_device rw
LoadCredential=vendor.password:/etc/dockd/vendor.password
END
sed -i 's|^unlock: .*|unlock: [{profile: vendor, vendor: "0403", product: "6001", maker: "QEMU*", \
command: [/usr/local/lib/dockd/unlock], password_file: /etc/dockd/vendor.password}]|' @CONFIG@
systemctl daemon-reload
systemctl restart dockd-rules.service dockd.service
"""


def test_a_recorder_that_shows_no_disk_is_unlocked_by_the_sites_command_and_then_read(
    guest: Machine, make_card: MakeCard, figure: Callable[[str], None]
) -> None:
    """By the README: a command, its password as a credential, and a drop-in that lets the unit see USB nodes."""
    device_no, serial = recorder_of("A1")
    card = make_card("A1")
    guest.run(_UNLOCK.replace("@SERIAL@", serial).replace("@CONFIG@", CONFIG), patience_s=300)

    locked = guest.plug_locked(BAYS["A1"])
    (alert,) = wait_for(guest, "[a for a in alerts() if a['kind'] == 'unlock_failed']").value
    assert "exit 3" in alert["facts"]
    assert wait_for(guest, "bay('A1')['state'] == 'locked'").value
    guest.pull(locked)
    wait_for(guest, "bay('A1')['state'] == 'empty'")

    guest.run("echo open > /etc/dockd/vendor.password && systemctl restart dockd.service", patience_s=300)
    locked = guest.plug_locked(BAYS["A1"])
    guest.run("until [ -e /var/lib/dockd/unlocked ]; do sleep 0.2; done")
    guest.pull(locked)
    _plug, began = dock(guest, "A1", card, serial="0123456789ABCDEF")
    shown, safe_at = safe_visit(guest, "A1")
    figure(f"{safe_at - began:.1f} s from the unlocked disk to safe to remove")
    assert stored(shown) == card.truth
    assert (shown["device_no"], shown["identified_by"]) == (device_no, "driver")


def test_without_systemd_the_service_mounts_by_itself_as_root(guest: Machine, make_card: MakeCard) -> None:
    """By the README: ``docking.mount: self`` and ``dockd run``."""
    guest.run("systemctl stop dockd.service dockd-mount.socket dockd-probe.socket")
    guest.run(f"sed -i 's|^  mount: broker|  mount: self|' {CONFIG} && grep -q '^  mount: self' {CONFIG}")
    guest.run(f"setsid dockd -c {CONFIG} run >/root/run.log 2>&1 </dev/null & echo $! >/root/pid")
    wait_for(guest, "said()['state'] == 'ready'", 30)
    card = make_card("A3", fs_type="exfat", file_mib=6)
    guest.slow_down("slow", 4 << 20)
    plug, _began = dock(guest, "A3", card, throttle="slow")
    wait_for(guest, "bay('A3')['bytes_done'] > 0")
    assert guest.run("grep -l /dev/sda /proc/[0-9]*/mountinfo", check=False) == "", "no one but the worker has it"
    shown, _safe_at = safe_visit(guest, "A3", ended=True)
    assert stored(shown) == card.truth
    guest.pull(plug)
    wait_for(guest, "bay('A3')['state'] == 'empty'")
    guest.run(f"cd {STORE} && sha256sum --quiet -c {shown['manifest']}")
    guest.run("kill $(cat /root/pid) && while [ -d /proc/$(cat /root/pid) ]; do sleep 0.2; done")
    assert "service_ended" in guest.run("cat /root/run.log")
