"""From the folders of runs to a leaderboard, figures and one page that shows it all."""

from agents.report.leaderboard import (
    improvements,
    leaderboards,
    make_row,
    overall,
    prices_of_not_seeing,
    read_rows,
)
from agents.report.publication import write_pages
from agents.report.results import Result, reached, read_result, read_results, run_folders
from agents.report.writing import Report, write_report

__all__ = [
    "Report",
    "Result",
    "improvements",
    "leaderboards",
    "make_row",
    "overall",
    "prices_of_not_seeing",
    "reached",
    "read_result",
    "read_results",
    "read_rows",
    "run_folders",
    "write_pages",
    "write_report",
]
