"""Becomes root by a program that belongs to it: `suid.py plant` makes one as root, `suid.py` runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

PROGRAM = "/workspace/id"


def main() -> None:
    """Prints whose rights the program has had."""
    if "plant" in sys.argv[1:]:
        shutil.copy("/usr/bin/id", PROGRAM)
        os.chmod(PROGRAM, 0o6755)  # noqa: S103
    done = subprocess.run([PROGRAM, "-u"], capture_output=True, text=True, check=True)
    print(json.dumps(int(done.stdout)))


if __name__ == "__main__":
    main()
