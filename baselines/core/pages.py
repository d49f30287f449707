"""What self-contained HTML pages are made of: files of a package, templates, and data in scripts."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined


def text_of(package: str, name: str) -> str:
    """Return the text of a file of a package."""
    return resources.files(package).joinpath(name).read_text("utf-8")


def render(package: str, name: str, **values: Any) -> str:
    """Return a template of a package with values in it, escaped as HTML."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text_of(package, name)).render(**values)


def in_script(content: Any) -> str:
    """Return content as JSON that may stand in a script of a page."""
    # "</" would end the script, whatever stands around it.
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")
