"""In CI (CI=true) a skipped test is a failed run: what did not run has proved nothing."""

import os

import pytest
from many_cases import left_out, name_of


def skipped_in_ci(config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter and os.environ.get("CI") == "true" else 0


def pytest_addoption(parser):
    parser.addoption("--few-cases", action="store_true", help="one case in some of the tests that take longest")


# Last of all: in the order in which the cases stand in their files.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if config.getoption("few_cases"):
        places = set(left_out([name_of(item.nodeid) for item in items]))
        config.hook.pytest_deselected(items=[items[place] for place in places])
        items[:] = [item for place, item in enumerate(items) if place not in places]


# First of all: the reporter's own hook reads the exit status that this one sets.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    if exitstatus == pytest.ExitCode.OK and skipped_in_ci(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if number := skipped_in_ci(config):
        terminalreporter.write_line(f"CI=true: {number} skipped, so this run fails. In CI nothing may skip.", red=True)
