"""The table of roles: every command has its line, the auditor changes nothing, a forgotten line opens no door."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.cli.main import Commands
from dockd.service.roles import DAILY, KEEPING, READING, RUNNING, TABLE, Role, action_of, may, may_write

NOT_THROUGH_THE_SERVICE = {"init", "run", "demo"}
roles = st.frozensets(st.sampled_from(Role))


def commands() -> Iterator[str]:
    """Every command that can be typed, as ``recorder issue``."""
    group = Commands()
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from (f"{name} {below}" for below in found.commands)
        else:
            yield name


def test_every_command_has_its_line_in_the_table() -> None:
    assert set(commands()) - NOT_THROUGH_THE_SERVICE - set(TABLE) == set()


def test_who_stands_higher_may_do_all_that_who_stands_lower_may() -> None:
    assert RUNNING < KEEPING < DAILY < READING


@pytest.mark.parametrize("action", sorted(TABLE))
def test_an_auditor_reads_and_changes_nothing_whatever_else_he_is(action: str) -> None:
    for others in itertools.chain.from_iterable(itertools.combinations(Role, n) for n in range(len(Role) + 1)):
        mine = {Role.AUDITOR, *others}
        assert may(mine, action) == (TABLE[action] == READING)
        assert not may_write(mine, action)


def test_a_command_without_a_line_is_the_admins_alone() -> None:
    assert may({Role.ADMIN}, "brand new")
    assert not any(may({role}, "brand new") for role in Role if role is not Role.ADMIN)


@given(roles=roles, action=st.sampled_from([*sorted(TABLE), "brand new"]))
def test_nobody_without_a_role_may_do_anything_and_nothing_that_all_may_do_writes(
    roles: frozenset[Role], action: str
) -> None:
    assert not may(frozenset(), action)
    assert not (may_write(roles, action) and TABLE.get(action) == READING)
    if Role.ADMIN in roles and Role.AUDITOR not in roles:
        assert may(roles, action)


def test_an_export_into_ones_own_file_reads_and_the_stations_own_export_does_not() -> None:
    assert may({Role.AUDITOR}, action_of("inventory export", {"file": "-"}))
    assert not may({Role.AUDITOR}, action_of("inventory export", {"file": None}))
    assert may({Role.CLERK}, action_of("check", {"migrate": False}))
    assert not may({Role.CLERK}, action_of("check", {"migrate": True}))


def test_a_role_is_a_group() -> None:
    assert [role.group for role in Role] == ["dockd-clerk", "dockd-custodian", "dockd-admin", "dockd-auditor"]
