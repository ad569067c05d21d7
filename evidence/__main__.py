"""The command `python -m evidence PART`."""

import argparse
import sys
from pathlib import Path

import evidence
from evidence.released import missing

BOOK = Path(__file__).resolve().parents[1] / "book"
PARTS = {
    "claims": """Run every check of the note's claims.

For each claim that can be run, this stores the verdict, the figures from which the verdict follows, and the verdict in
another world, in which it has to be another one.""",
    "conformance": """Run LeRobot's two GR00T heads beside ours over a grid of configurations.

This stores the number of cases, and for each precision and quantity a power of ten that no difference exceeded.""",
    "zoo": """Run the auditor's own trial. This takes several minutes.

For each mutant and each design, this stores whether the audit found what is wrong at its place and by which probes, and
which of the other checks raised an alarm; and the same for policies that are right. `python tools/draw_figures.py` then
draws the picture of it.""",
    "audits": """Audit LeRobot's policies.

For each policy, this stores what the auditor found, where it could not look and why, and how many lines it took to
describe the policy to the auditor.""",
}


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    layout = argparse.RawDescriptionHelpFormatter
    command = argparse.ArgumentParser(prog="python -m evidence", description=evidence.__doc__, formatter_class=layout)
    parts = command.add_subparsers(dest="part", metavar="PART", required=True)
    added = {}
    for name, about in PARTS.items():
        first, _ = about.split("\n", 1)
        needs = "" if name == "zoo" else "\n\n`make upstream` installs what is needed."
        added[name] = parts.add_parser(name, help=first, description=about + needs, formatter_class=layout)
        default = BOOK / f"{name}.json"
        added[name].add_argument(
            "--out", type=Path, default=default, metavar="FILE", help=f"where it is stored (book/{name}.json)"
        )
    added["zoo"].add_argument(
        "--pytest-torch",
        type=Path,
        metavar="FOLDER",
        help="where pytest-torch is installed (where `make upstream` puts it)",
    )
    added["audits"].add_argument(
        "--only",
        metavar="NAME",
        nargs="+",
        default=[],
        help="audit only these, print the result, and store nothing",
    )
    return command


def main(arguments: list[str] | None = None) -> int:
    """Runs the part that is named. Returns 0, or 1 if something that it needs is not installed."""
    command = parser()
    given = command.parse_args(arguments)
    if given.part != "zoo" and (why := missing()):
        print(why, file=sys.stderr)
        return 1
    match given.part:  # a part is imported only when it is run: `--help` then answers at once
        case "claims":
            from evidence import claims

            claims.store(given.out)
        case "conformance":
            from evidence import conformance

            conformance.store(given.out)
        case "zoo":
            from evidence import zoo

            zoo.store(given.out, given.pytest_torch)
        case "audits":
            from evidence import audits

            try:
                audits.store(given.out, given.only)
            except audits.UnknownPolicyError as error:
                command.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
