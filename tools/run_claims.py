"""Run every check of the note's claims, and store what each one found.

Writes book/claims.json: for each claim that can be run its verdict, the figures that the verdict comes from, and the
verdict in another world, in which it has to be another one. The page book/claims.md is made from it. `make upstream`
installs what is needed. `make test` runs the same checks and fails if they find anything else.
"""

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "book" / "claims.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    from evidence import released_heads as loader

    if why := loader.missing():
        print(why, file=sys.stderr)
        return 1
    from evidence import claims_upstream as claim_checks_upstream  # noqa: F401  (its checks join the others)
    from evidence.claims import CHECKS

    with contextlib.redirect_stdout(io.StringIO()):  # N1.5 prints its number of parameters
        found = {str(number): check.record() for number, check in sorted(CHECKS.items())}
    STORED.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for number, result in found.items():
        print(f"{number:>2}  {result['verdict']:14} {result['check']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
