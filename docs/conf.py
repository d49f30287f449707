"""How Sphinx builds the documentation; ``make docs`` runs it with every warning an error."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import environment_pages  # noqa: E402

import qc_gym  # noqa: E402

project = "qc-gym"
author = copyright = "the qc-gym developers"
version = release = qc_gym.__version__

extensions = [
    "myst_nb",  # MyST pages, and notebooks
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["**/_*"]

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4

nb_execution_mode = "force"  # notebooks are kept without outputs; each build runs them
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # seconds a cell
nb_merge_streams = True

autodoc_typehints = "none"  # numpydoc's sections tell the types that matter; signatures stay short
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "qc-gym"


def setup(app: Sphinx) -> None:
    """Write the pages of the environments before Sphinx looks for pages."""
    app.connect("config-inited", lambda *_: environment_pages.write(DOCS / "environments"))
