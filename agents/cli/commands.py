"""The application: its commands, and what becomes of errors, signals and closed streams."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

import qc_gym
from agents.cli import dataset, environments, explore, optima, reproduce, training, tuning
from agents.cli.streams import ClosedPipeError, named_stdout, spelled_symbols

INTERRUPTED = 130
CLOSED_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended."""
INSTALL = "in a clone of the project: pip install '.[{extras}]'"
_EXTRAS = {
    "optuna": ("tune", "agents,tune"),
    "ray": ("--engine ray", "agents,cluster"),
    "minari": ("dataset", "agents,data"),
}
"""Who needs a package that is missing, and the extras that bring it, where it is not the agents."""


app = typer.Typer(pretty_exceptions_enable=False)
for _module in (environments, optima, explore, training, tuning, dataset, reproduce):
    _module.add_commands(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(qc_gym.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Quality-control environments, their exact optima, and agents scored by them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; messages go to standard error.

    Parameters
    ----------
    arguments
        The words after ``qc-gym``; by default those of this process.

    Returns
    -------
    status
        0; or 1 where something failed or was left out and the rest was done, or an optimum failed
        its check; 2 for bad input; 130 when interrupted; 141 where the reader of standard output
        went away.
    """
    with spelled_symbols(), _warnings_in_a_line():
        try:
            with named_stdout():
                status = _run(arguments)
        except ClosedPipeError:
            return CLOSED_PIPE
        except KeyboardInterrupt:
            status = INTERRUPTED
        except typer.TyperException as error:
            return _refuse(error)
        except ModuleNotFoundError as error:
            user, extras = _EXTRAS.get(error.name or "", ("agents", "agents"))
            return _complain(f"{error}; {user} needs it: {INSTALL.format(extras=extras)}")
        except OSError as error:
            named = error.filename is not None and error.strerror is not None
            return _complain(f"{error.filename}: {error.strerror}" if named else error)
        except (ValueError, TypeError) as error:
            return _complain(error)
        except MemoryError as error:
            return _complain(f"not enough memory: {error}", 1)
        except AssertionError as error:
            return _complain(f"an optimum failed its check: {_oracle_error(error)}", 1)
        if status == INTERRUPTED:  # as which Typer reports it too
            return _complain("interrupted", INTERRUPTED)
        return status


def _run(arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    return int(command.main(arguments, prog_name="qc-gym", standalone_mode=False) or 0)


def _oracle_error(error: AssertionError) -> AssertionError:
    """Return an error of an optimum; raise any other, which is a bug of the command line."""
    from baselines import OracleError

    if isinstance(error, OracleError):
        return error
    raise error


def _refuse(error: typer.TyperException) -> int:
    """Say what is wrong with the words of a command, and how it is used."""
    _complain(error.format_message().replace("Value error, ", ""))
    context = getattr(error, "ctx", None)
    if context is not None:
        print(f"{context.get_usage()}\nHelp: {context.command_path} --help", file=sys.stderr)
    return 2


def _complain(problem: object, status: int = 2) -> int:
    """Print a message on standard error; return the exit status that goes with it."""
    print(f"qc-gym: {problem}", file=sys.stderr)
    return status


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Show warnings as the messages that they are, without the line of the source."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"qc-gym: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
