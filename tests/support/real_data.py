"""Where the real recording lies: two episodes of GR1. Without it tests skip and say so; in CI they fail."""

import os
from pathlib import Path

import pytest


def gr1_folder() -> Path:
    beside = Path(__file__).parents[3] / "shared/data/gr1_pick_and_place"
    folder = Path(os.environ.get("GROOT_TEACH_TEST_DATA", beside))
    if not folder.is_dir():
        reason = f"no real data at {folder}; set GROOT_TEACH_TEST_DATA to a copy of the GR1 demo folder"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return folder
