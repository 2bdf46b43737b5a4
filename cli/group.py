"""Assembles the commands; the only place that turns an error into a line and an exit code."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from hepdann._version import __version__
from hepdann.errors import HepdannError

# Listed here with their one-line help, so that `hepdann --help` imports no command.
COMMANDS = {
    "demo": "The whole main job in half a minute, on a simulated sample.",
    "simulate": "Write a toy sample as real ROOT files.",
    "inspect": "Show what is in a ROOT file, a tensor file, a run or a scan.",
    "convert": "Turn ROOT files into a tensor file.",
    "tensors": "Join tensor files, take some of their events, or show one.",
    "config": "Write or check a YAML configuration, or print its schema.",
    "diagnose": "Test whether MC and data differ.",
    "calibrate": "Measure how MC must change to look like data, with errors.",
    "train": "Train a domain-adversarial network and its baselines.",
    "scan": "Train a grid of shifts, t, lambda, methods and seeds as stacks.",
    "evaluate": "Print the numbers of a run, with errors.",
    "plot": "Draw the figures of a run.",
    "compare": "Put several runs side by side in one table.",
    "workingpoints": "Set thresholds on the score by signal efficiency.",
    "histogram": "Write templates of a run for ROOT and pyhf.",
    "search": "Search the data of a run for a bump, without labels.",
    "report": "Write runs as one HTML page that opens offline.",
    "export": "Write a run as ONNX or C++ for the experiment's framework.",
    "generate": "Train a generator of showers or pictures, and draw events with it.",
    "benchmark": "Repeat an experiment of the DANN paper: moons, amazon, digits, signs, numbers.",
    "predict": "Write the scores of a run beside your own files.",
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for one that there is not, name the nearest."""
        name = click.utils.make_str(args[0])
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        if near and name not in COMMANDS:
            ctx.fail(f"No such command '{name}'; did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(name, help=line)
            for name, line in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; where the reader has left (``| head``), end quietly as by SIGPIPE."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click itself would begin with an empty line
            click.echo("hepdann: interrupted", err=True)
            return 130
        except EOFError as error:  # click would take it for an end of input, and that for Ctrl-C
            raise RuntimeError(f"a file ends early: {error}") from error
        except BrokenPipeError:
            pass
        except SystemExit as error:  # what rich makes of it, with the exit code of a bug
            if not isinstance(error.__context__, BrokenPipeError):
                raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `hepdann demo`, or `hepdann convert mc.root data.root`.",
)
@click.version_option(__version__, prog_name="hepdann", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of any error.")
def hepdann(debug: bool) -> None:
    """Domain-adversarial networks for high-energy physics, from ROOT files to the talk."""
    del debug  # read by main, which sees every error


def _fail(message: str) -> NoReturn:
    click.echo(f"hepdann: error: {' '.join(message.split())}", err=True)
    raise SystemExit(2)


def run() -> int:
    """Run the command line; gives its exit code: 0, 2 (the input is wrong), 3, 130, 141 or 143."""
    debug = "--debug" in sys.argv[1:]
    if debug:  # accepted anywhere on the line
        sys.argv = [sys.argv[0], "--debug", *(a for a in sys.argv[1:] if a != "--debug")]
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without ± or σ is no reason to fail
        sys.stdout.reconfigure(errors="replace")
    try:
        code = hepdann.main(standalone_mode=False)
    except (HepdannError, click.ClickException, OSError) as error:
        if debug:
            raise
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            _fail(f"{error.filename}: {reason}" if error.filename else reason)
        if isinstance(error, click.ClickException):
            context = error.ctx if isinstance(error, click.UsageError) else None
            hint = f"; see {context.command_path} -h" if context is not None else ""
            _fail(f"{error.format_message().rstrip('.')}{hint}")
        _fail(str(error))
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0
