"""Do the stored outputs hold on every run? nbval, strict, again and again: with 1 and 2 threads, and as another CPU.

`ATEN_CPU_CAPABILITY=default` makes torch compute without AVX, as on the oldest machines it runs on.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {
    "2 threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "1 thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "another CPU class": {"ATEN_CPU_CAPABILITY": "default"},
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="how many runs, the settings in turn (10)")
    runs = parser.parse_args(arguments).runs
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=120"]
    command += ["-n", "auto", "--dist", "loadfile"]  # a notebook runs as a whole, several at a time
    green, tried = Counter(), Counter()
    for name in tqdm(list(islice(cycle(SETTINGS), runs)), unit="run"):
        with tempfile.TemporaryDirectory() as fresh:
            environment = os.environ | SETTINGS[name] | {"GROOT_TEACH_PROGRESS": f"{fresh}/progress.json"}
            environment.pop("GROOT_TEACH_DATA", None)
            done = subprocess.run([*command, "notebooks"], cwd=ROOT, env=environment, capture_output=True, text=True)
        tried[name] += 1
        green[name] += done.returncode == 0
        if done.returncode:
            tqdm.write(f"{name}:\n{done.stdout}")
    for name in tried:
        print(f"{name:20} {green[name]} of {tried[name]} green")
    return 0 if green == tried else 1


if __name__ == "__main__":
    sys.exit(main())
