"""Types of fields that scenarios of all families share: what they allow, and their unit."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

MAX_MONEY = 1e12
"""Most money of one field: no sum in an episode comes near the largest float64, however long it is."""
_MONEY: dict[str, Any] = {"unit": "money"}
_SHARE: dict[str, Any] = {"unit": "share"}
Money = Annotated[float, Field(ge=0, le=MAX_MONEY, json_schema_extra=_MONEY)]
Probability = Annotated[float, Field(ge=0, le=1, json_schema_extra=_SHARE)]
Share = Annotated[float, Field(ge=0, lt=1, json_schema_extra=_SHARE)]
"""A probability that cannot be 1."""
Rate = Annotated[float, Field(gt=0, lt=1, json_schema_extra=_SHARE)]
"""A probability that can be neither 0 nor 1."""
ErrorRate = Share
"""A probability that an inspector errs; :func:`qc_gym.core.inspection.check_errors` bounds two together."""
