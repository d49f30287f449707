"""A mend of numba's record type, without which cached loops of two sizes of a family are mixed up.

numba names compiled code after its argument types, and a record layout enters that name by a number
that it gets in the process that compiles it, counted from the start of the process (numba's issue
7654). Two processes that compile a loop for two layouts may give both the same name; a third
finds both in the cache on disk, and one runs the other's code. Here the layout enters the name by a
digest of what it is.

Importing this module applies the mend.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba import types


def _mangling_args(record: Any) -> tuple[str, tuple[str]]:
    """Return what tells the code for this record layout from the code for others."""
    return "Record", (hashlib.sha256(record.name.encode()).hexdigest()[:16],)


types.Record.mangling_args = property(_mangling_args)  # type: ignore[method-assign, assignment]
