"""Inspect the units of a lot in the order in which they were produced, or stop."""
