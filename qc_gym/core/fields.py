"""Types of fields that scenarios of all families share, with the bounds of what they allow."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_MONEY = 1e12
"""Most money of one field: no sum in an episode comes near the largest float64, however long it is."""
Money = Annotated[float, Field(ge=0, le=MAX_MONEY)]
Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
"""A probability that cannot be 1."""
Rate = Annotated[float, Field(gt=0, lt=1)]
"""A probability that can be neither 0 nor 1."""
