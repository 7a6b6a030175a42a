"""The ``dockd`` command: finds the noun that was typed, loads only that, and ends with a fixed exit code.

Every DockdError is printed as what happened and what to do, in the station's language;
a fault of our own ends 1 with a report file, and no traceback ever reaches a person.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dockd import __version__
from dockd.cli.clickwords import click_speaks
from dockd.cli.invocation import Invocation, config_file, owner_of, utc_now
from dockd.cli.output import say
from dockd.errors import Bug, DockdError, Exit
from dockd.locale import N_, _, choose_language, configured_language, use_language

if TYPE_CHECKING:
    from dockd.service.served import Caller, Commandline
    from dockd.settings import Settings

INTERRUPTED = 130
PIPE_CLOSED = 141

COMMANDS = {
    "init": "dockd.cli.station:init",
    "check": "dockd.cli.station:check",
    "run": "dockd.cli.run:run",
    "status": "dockd.cli.status:status",
    "identify": "dockd.cli.identify:identify",
    "mounts": "dockd.cli.mounts:mounts",
    "recorder": "dockd.cli.recorder:recorder",
    "officer": "dockd.cli.officer:officer",
    "case": "dockd.cli.case:case",
    "matter": "dockd.cli.matter:matter",
    "record": "dockd.cli.record:record",
    "exception": "dockd.cli.exception:exception",
    "interruption": "dockd.cli.interruption:interruption",
    "alert": "dockd.cli.alert:alert",
    "inventory": "dockd.cli.inventory:inventory",
    "register": "dockd.cli.register:register",
    "view": "dockd.cli.view:view",
    "stats": "dockd.cli.stats:stats",
    "offload": "dockd.cli.offload:offload",
    "visit": "dockd.cli.visit:visit",
    "verify": "dockd.cli.verify:verify",
    "rebuild": "dockd.cli.rebuild:rebuild",
    "ledger": "dockd.cli.ledger:ledger",
    "demo": "dockd.cli.demo:demo",
}
SUMMARIES = {
    "init": N_("Make a complete station in a new directory."),
    "check": N_("Check the configuration and everything the station needs."),
    "run": N_("The service in the foreground: recorders are read as they are docked."),
    "status": N_("What is docked, how far it is, the queue, space and alerts."),
    "identify": N_("Plug a recorder in and read the configuration lines for its bay."),
    "mounts": N_("Which cards are open, and who holds them."),
    "recorder": N_("The recorder register: add, import, issue, return, undocked, clock, inspect, fault, due, list."),
    "officer": N_("The officers: add, import, list."),
    "case": N_("The cases: import, list, show, close, filing, filed, renumber."),
    "matter": N_("The bureau's list of matters to be recorded: list."),
    "record": N_("What is said of footage: list, show, tag, history, rejudge."),
    "exception": N_("Exceptions under article 23(2): add, confirm, return, list."),
    "interruption": N_("Interruptions of recordings (article 22): list, explain, dismiss."),
    "alert": N_("Alerts: list, acknowledge, close; outbox, send, test, report."),
    "inventory": N_("Write the inventory of all footage as CSV."),
    "register": N_("The registers of recorders, custody, equipment and interruptions as CSV."),
    "view": N_("Classified folders of links: by case, officer, recorder, month."),
    "stats": N_("The figures of article 30: of all, and of each unit, officer, recorder and month."),
    "offload": N_("Store everything that is on a recorder's card."),
    "visit": N_("Visits with the outcome of every file: list, show."),
    "verify": N_("Read the store back and compare it with the register."),
    "rebuild": N_("Make a lost or damaged register again from the store."),
    "ledger": N_("The ledger: verify its chain, show its head."),
    "demo": N_("Make a card and a throw-away station, do the whole job and show the result."),
}


class Commands(click.Group):
    """The table of commands. A module is imported when its command is called, so that the start stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _colon, name = COMMANDS[cmd_name].partition(":")
        return spoken(getattr(import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(_("Commands")):
            formatter.write_dl([(name, _(summary)) for name, summary in SUMMARIES.items()])


def spoken(command: click.Command) -> click.Command:
    """A copy of ``command`` whose help is in the language in use, down to its subcommands and options."""
    command = copy.copy(command)
    command.help = _(command.help) if command.help else None
    command.short_help = _(command.short_help) if command.short_help else None
    command.epilog = _(command.epilog) if command.epilog else None
    command.params = [_spoken_parameter(parameter) for parameter in command.params]
    if isinstance(command, click.Group):
        command.commands = {name: spoken(below) for name, below in command.commands.items()}
    elif command.callback:
        command.callback = _permitted(command.callback)
    return command


def _permitted(carry_out: Callable[..., Any]) -> Callable[..., Any]:
    """``carry_out``, after the caller was found to have the right to it."""

    def ask_first(*args: Any, **said: Any) -> Any:
        context = click.get_current_context()
        invocation = context.find_object(Invocation)
        if invocation:
            invocation.permit(context.command_path.partition(" ")[2], context.params)
        return carry_out(*args, **said)

    return ask_first


def _spoken_parameter(parameter: click.Parameter) -> click.Parameter:
    parameter = copy.copy(parameter)
    help_text = getattr(parameter, "help", None)
    if help_text:
        parameter.help = _(help_text)
    return parameter


@click.command(
    cls=Commands,
    help=N_("Body-camera footage from the dock: stored, proven, tagged and accounted for."),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=N_("The configuration. Without it: $DOCKD_CONFIG, then /etc/dockd/dockd.yaml."),
)
@click.option("--lang", type=click.Choice(["zh", "en"]), help=N_("The language of messages: Chinese or English."))
@click.version_option(__version__, prog_name="dockd")
@click.pass_context
def dockd(ctx: click.Context, config: Path | None, lang: str | None) -> None:
    del lang  # read by speak(), before any text was made
    invocation = ctx.find_object(Invocation)
    if invocation and invocation.caller is None:  # the service's configuration is not its callers' to choose
        invocation.config = config


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        # A name in Chinese must come out whole under LC_ALL=C too.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(flushed(run(sys.argv[1:])))


def flushed(code: int) -> int:
    """The exit code once standard output has taken everything, or the one that says that it did not."""
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody takes what is still held: the interpreter must not fail on it once more and end with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or Exit.CANNOT_STORE
    return code


def commandline() -> Commandline:
    """What the service serves to the people of an installed station."""
    from dockd.service.served import Commandline

    return Commandline(run, flushed)


def run(
    argv: Sequence[str],
    *,
    now: Callable[[], datetime] = utc_now,
    caller: Caller | None = None,
    settings: Settings | None = None,
) -> int:
    """Carry out one call and return its exit code. Nothing is raised.

    Without a ``caller`` it is this process's own, and goes to the service where the station is an installed one;
    with one it is his, in the service, and ``settings`` are those in force.
    """
    speak(argv, os.environ)
    invocation = Invocation(config=settings.file if settings else None, now=now, caller=caller, _settings=settings)
    try:
        return _pass_on(argv, invocation) if caller is None else _carry_out(argv, invocation)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        return _usage_error(error)
    except click.ClickException as error:
        return _tell(error.format_message(), "", Exit.USAGE)
    except DockdError as error:
        return _tell(error.render(_), error.render_hint(_), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _tell(_("interrupted; what is stored is safe"), _("Run the same command again to go on."), INTERRUPTED)
    except BrokenPipeError:
        return _quietly()
    except Exception as error:  # noqa: BLE001 (the last line of defence: a person gets a sentence and a report)
        return _own_fault(error, argv)
    finally:
        invocation.close()


def _pass_on(argv: Sequence[str], invocation: Invocation) -> int:
    """To the service of an installed station, or here."""
    from dockd.service.client import Call, control_of, pass_on

    config, _asked, command = _glance(argv)
    file = config_file(Path(config) if config else None, os.environ)
    control = control_of(file, argv, command)
    if control is None:
        return _carry_out(argv, invocation)

    def owner() -> int:
        invocation.config = file
        return owner_of(invocation.settings())

    return pass_on(control, Call(argv, os.environ), owner=owner, file=file)


def speak(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Choose the language before any help is made: the call's own words and a glance at the configuration decide."""
    config, asked, _command = _glance(argv)
    file = config_file(Path(config) if config else None, environ)
    chosen = choose_language(environ, asked=asked, configured=configured_language(file))
    use_language(chosen)
    click_speaks(chosen)


def _glance(argv: Sequence[str]) -> tuple[str | None, str | None, str | None]:
    """``-c`` and ``--lang`` as they stand before the command, and the command; anything odd is left to the parser."""
    found: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            return found.get("config"), found.get("lang"), word
        found.update(_option(word, words))
    return found.get("config"), found.get("lang"), None


def _option(word: str, rest: Iterator[str]) -> dict[str, str]:
    name, equals, value = word.partition("=")
    if name in ("--config", "--lang"):
        return {name[2:]: value if equals else next(rest, "")}
    if word.startswith("-c"):
        return {"config": word[2:] or next(rest, "")}
    return {}


def _carry_out(argv: Sequence[str], invocation: Invocation) -> int:
    group = spoken(dockd)
    with group.make_context("dockd", list(argv), obj=invocation) as context:
        try:
            result = group.invoke(context)
        except SystemExit as exit_:
            result = exit_.code
        sys.stdout.flush()
    return int(result) if isinstance(result, int) else Exit.DONE


def _usage_error(error: click.UsageError) -> int:
    if error.ctx is None:
        return _tell(error.format_message(), "", Exit.USAGE)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return Exit.USAGE
    command = error.ctx.command_path
    usage = " ".join([command, *error.ctx.command.collect_usage_pieces(error.ctx)])
    hint = _("{usage} (more with: {command} --help)").format(usage=usage, command=command)
    return _tell(error.format_message(), hint, Exit.USAGE)


def _tell(message: str, hint: str, code: int) -> int:
    say(_("Error: {message}").format(message=message))
    if hint:
        say(_("Hint: {hint}").format(hint=hint))
    return int(code)


def _quietly() -> int:
    """The reader of our output has gone: nothing is wrong, and the interpreter must not flush into the void."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED


def _own_fault(error: Exception, argv: Sequence[str]) -> int:
    from dockd.cli.report import write_report

    bug = error if isinstance(error, Bug) else Bug(reason=type(error).__name__, report="-")
    bug.fields["report"] = write_report(error, argv, _words())
    return _tell(bug.render(_), bug.render_hint(_), Exit.BUG)


def _words() -> frozenset[str]:
    """The names of all commands that are loaded: harmless in a report."""
    loaded = [sys.modules.get(target.partition(":")[0]) for target in COMMANDS.values()]
    groups: list[Any] = [value for module in loaded if module for value in vars(module).values()]
    below = {name for group in groups if isinstance(group, click.Group) for name in group.commands}
    return frozenset(COMMANDS) | below
