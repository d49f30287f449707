"""Standard output that cannot show a symbol, is full, or has no reader any more."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOWrapper
from typing import Any, TextIO

SPELLED = {
    "−": "-",
    "–": "-",
    "—": "-",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "→": "->",
    "…": "...",
    "·": "*",
    "•": "*",
    "×": "x",
    "Σ": "sum",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "─": "-",
    "━": "-",
}
"""Symbols in ASCII, for an encoding that does not have them."""
_HANDLER = "qc_gym.spell"


class ClosedPipeError(Exception):
    """The reader of standard output went away.

    Not an OSError: typer and rich would take it for theirs.
    """


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for the characters that could not be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelled = []
    for symbol in error.object[error.start : error.end]:
        plain = unicodedata.normalize("NFKD", symbol).encode("ascii", "ignore").decode()
        spelled.append(SPELLED.get(symbol) or plain or "?")
    return "".join(spelled), error.end


@contextmanager
def spelled_symbols() -> Iterator[None]:
    """Have standard output and error spell what their encoding lacks, instead of failing half-way."""
    codecs.register_error(_HANDLER, _spell)
    streams = [one for one in (sys.stdout, sys.stderr) if isinstance(one, TextIOWrapper)]
    before = [one.errors for one in streams]
    for stream in streams:
        stream.reconfigure(errors=_HANDLER)
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with suppress(ValueError, OSError):  # closed, or full
                stream.reconfigure(errors=errors)


class _Stdout:
    """Standard output whose errors say that they are its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _named():
            return self._stream.write(text)

    def flush(self) -> None:
        with _named():
            self._stream.flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipeError from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


@contextmanager
def named_stdout() -> Iterator[None]:
    """Have errors of standard output say that they are, and what waits in it written at the end.

    Raises
    ------
    ClosedPipeError
        Nobody reads it any more.
    OSError
        It cannot be written.
    """
    if sys.stdout is None:  # a program without a terminal
        yield
        return
    stream: Any = _Stdout(sys.stdout)
    try:
        with redirect_stdout(stream):
            yield
        stream.flush()
    finally:
        _abandon_rest()


def _abandon_rest() -> None:
    """Let what can't be written go nowhere: the interpreter would fail on it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
