import subprocess
import sys
import zipfile
from pathlib import Path

import slipway_spawner

PROJECT = Path(slipway_spawner.__file__).parents[1]


def test_wheel_has_all_that_a_hub_loads(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("slipway_spawner-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [archive.read(n).decode() for n in names if n.endswith("entry_points.txt")]

    source = Path(slipway_spawner.__file__).parent
    wanted = {
        f"slipway_spawner/{p.relative_to(source)}"
        for p in source.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert wanted == {n for n in names if ".dist-info/" not in n}
    assert {"slipway_spawner/templates/form.html", "slipway_spawner/py.typed"} <= wanted
    assert entry_points.split("\n")[:2] == ["[jupyterhub.spawners]", "slipway = slipway_spawner.spawner:SlipwaySpawner"]
