"""Audit LeRobot's policies with `groot_teach.audit`, and store what was found.

Writes book/audits.json: for each policy what of it runs here, what the auditor found, where it could not look and why,
and how many lines it had to be told. The page book/audits.md is made from it. `make upstream` installs what is needed.
`make test` runs the same audits and fails if they find anything else.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "book" / "audits.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", nargs="+", help="audit these, print them, and store nothing")
    options = parser.parse_args(arguments)
    from tqdm.auto import tqdm

    from evidence import released_heads as loader

    if why := loader.missing():
        print(why, file=sys.stderr)
        return 1
    from evidence.audits import record, subjects

    chosen = {name: subject for name, subject in subjects().items() if name in (options.only or subjects())}
    if options.only and (unknown := {*options.only} - {*chosen}):
        parser.error(f"--only: got {', '.join(sorted(unknown))}, expected some of {', '.join(subjects())}")
    found = {}
    for name, subject in (bar := tqdm(chosen.items(), unit="policy")):
        bar.set_postfix_str(name)
        found[name] = record(subject)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if options.only:
        print(text, end="")
        return 0
    STORED.write_text(text, encoding="utf-8")
    for name, audit in found.items():
        seen = ", ".join(f"{finding['stage']} ({finding['axis']})" for finding in audit["findings"])
        print(f"{name:32} {audit['lines']:>2} lines  {seen or 'clean'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
