"""Pilot run: test a few items, then fix the production plan of a whole order."""
