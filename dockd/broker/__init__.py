"""The only code that is root: a device number comes in, one directory of a read-only mount goes out.

**The wire.** One connection to ``/run/dockd-mount.sock`` (``SOCK_SEQPACKET``) is one request and one
answer, a packet of ASCII each; whoever talks more or otherwise is refused.

=====================================  ================================================================
packet                                meaning
=====================================  ================================================================
``dockd-mount/1 MAJOR:MINOR DISKSEQ``  the request, nothing else: no path, no option, no type of file
                                      system. ``DISKSEQ`` is udev's property of that name
``ok TYPE OPTIONS HEAD…``             with exactly one descriptor (``SCM_RIGHTS``): the root directory of
                                      the card, open for reading. ``TYPE`` is the file system as the
                                      kernel names it, ``OPTIONS`` what is in force, joined by commas.
                                      ``HEAD`` (none to four) is ``OFFSET:HEX``: bytes of the device in
                                      which the file system says in what state it was left
``refused NAME DEVICE REASON``        no descriptor. ``NAME`` is the ``name`` of a subclass of
                                      ``errors.CardNotOpened``; ``DEVICE`` (``sdb1`` or ``8:17``) and
                                      ``REASON`` (to the end of the packet, may be empty) are its fields
=====================================  ================================================================

A connection that ends without an answer is ``errors.BrokerSilent``: nothing was mounted, ask again.
``wire.ask`` is the whole client; it raises those classes.

**What the daemon holds.** The mount stands in no mount table: there is no path to it, no other program
sees it, and ``/proc/self/mountinfo`` does not tell its options, so ``OPTIONS`` is the only word on them
(``tz=UTC`` or ``time_offset=0``: file times are the recorder's wall clock, shown as if it were UTC).
Open names with ``dir_fd=``; a child gets the descriptor by ``pass_fds`` and may say ``/proc/self/fd/N/…``.
The card is free again when the last copy of the descriptor, and of every file opened below it, is closed;
the kernel sees to that also after a SIGKILL. A pulled card gives EIO; close the descriptor then.

**Without systemd**, as root, ``mount.open_card(device, diskseq, owner=(uid, gid))`` does the same in the
caller's own process.
"""
