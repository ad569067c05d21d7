"""The command `audit-masks`: `python -m groot_teach.audit` under a shorter name.

It starts that very command, because only `python -m` finds the modules of the folder in which it is started, and the
function that describes your policy is most often written there. Until then torch is not imported, so nothing is slow.
"""

import subprocess
import sys


def main() -> int:
    return subprocess.call([sys.executable, "-m", "groot_teach.audit", *sys.argv[1:]])
