"""Run LeRobot's two GR00T heads beside ours over a grid of configurations, and store how far they were apart.

Writes book/conformance.json: the number of cases, and for each precision and quantity a power of ten that no case
exceeded. `make upstream` installs what is needed. `make test` runs the same grid and fails if a bound does not hold.
"""

import argparse
import contextlib
import io
import json
import sys
from math import ceil, log10
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "book" / "conformance.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    import torch
    from tqdm.auto import tqdm

    from evidence import released_heads as loader
    from evidence.conformance import run_grid

    if why := loader.missing():
        print(why, file=sys.stderr)
        return 1
    stored: dict = {"worst": {}}
    for dtype in (torch.float64, torch.float32):
        name = str(dtype).removeprefix("torch.")
        with contextlib.redirect_stdout(io.StringIO()):  # N1.5 prints its number of parameters
            stored["cases"], worst = run_grid(dtype, lambda cases, name=name: tqdm(cases, desc=name, unit="case"))
        stored["worst"][name] = {quantity: 10.0 ** ceil(log10(3 * apart)) for quantity, apart in worst.items()}
    STORED.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")
    print(STORED.read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
