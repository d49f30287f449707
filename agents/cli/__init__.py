"""The command line, ``qc-gym``: a module a group of commands.

``main`` is the entry point; the modules of the commands import optima and agents only when they are
run, so that ``list``, ``show`` and ``solve`` answer without torch.
"""

from agents.cli.commands import app, main

__all__ = ["app", "main"]
