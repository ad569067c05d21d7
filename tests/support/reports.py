"""Reports of the auditor that stand in a text, compared with what it says now."""

import re


def without_sizes(report: str) -> str:
    """The report without what depends on random numbers: how strongly a toy leaks, and how wide the columns are."""
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)? %", "SIZE", report))
