"""The command `python -m groot_teach.recordings`.

    python -m groot_teach.recordings check FOLDER      everything that is wrong with a LeRobot dataset folder

Its exit status is 0 if nothing is wrong, 1 if there are faults, and 2 if nothing could be checked.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from groot_teach.extras import progress_bar
from groot_teach.recordings.check import check_dataset

EXAMPLES = """\
examples:
  python -m groot_teach.recordings check my_dataset                    every fault, as text
  python -m groot_teach.recordings check my_dataset --json report.json and as JSON; - writes it to the shell
  python -m groot_teach.recordings check my_dataset --columns actions  other columns than it finds by itself

exit status: 0 nothing is wrong, 1 there are faults, 2 nothing was checked
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m groot_teach.recordings",
        description="Check a LeRobot dataset folder, version 2.0, 2.1 or 3.0: lists, files, order of frames, numbers, "
        "tasks, statistics.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["check"], help="what to do")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the dataset folder, which has a folder meta")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="the columns that hold the actions")
    parser.add_argument("--json", metavar="FILE", help="write the whole report there as well; - = in place of the text")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    progress = iter if options.quiet else partial(progress_bar, unit="file", desc="check")
    try:
        report = check_dataset(options.folder, options.columns, progress=progress)
        if options.json not in (None, "-"):
            Path(options.json).write_text(report.to_json() + "\n", encoding="utf-8")
    except (OSError, ImportError) as error:
        print(f"nothing was checked: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if options.json == "-" else report)
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
