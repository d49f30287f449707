"""Inspect or stop: certified brackets on the optimum, exact scores, the policies of the paper."""
