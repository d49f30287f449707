"""Sequential sampling: accept a lot, reject it, or inspect one more item."""
