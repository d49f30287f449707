"""Exact solution, evaluation and scoring, generic over families of environments."""
