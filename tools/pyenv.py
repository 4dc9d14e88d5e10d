"""Print the bin folder of a virtual environment that holds exactly what a requirements file pins.

    python3 tools/pyenv.py REQUIREMENTS

The environment is made by the first call and kept outside the checkout, under the hash of what it is made
from, so it never goes stale.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path


def environment(requirements: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "venv"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode() + sys.executable.encode())
    folder = cache / key.hexdigest()[:16]
    complete = folder / ".complete"
    cache.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            # What an interrupted call left is not to be trusted.
            shutil.rmtree(folder, ignore_errors=True)
            print(f"making a Python environment for {requirements}", file=sys.stderr)
            venv.create(folder, with_pip=True)
            pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
            pip += ["--quiet", "--require-hashes", "--requirement", requirements]
            subprocess.run(pip, check=True, stdout=sys.stderr)
            complete.touch()
    return folder / "bin"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        print(environment(Path(sys.argv[1])))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"pyenv.py: {error}")
