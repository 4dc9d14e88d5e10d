"""That the README and the example say what is there."""

import re
from pathlib import Path

from slipway_spawner.settings import Settings
from slipway_spawner.spawner import SlipwaySpawner
from traitlets.config.loader import PyFileConfigLoader

PROJECT = Path(__file__).parents[1]


def test_readme_names_every_trait_and_no_other():
    table = re.findall(r"^\| `(\w+)` \|", (PROJECT / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(Settings.class_trait_names(config=True))


def test_example_sets_traits_that_there_are(monkeypatch):
    for url in (None, "https://launcher:8443"):
        if url:
            monkeypatch.setenv("LAUNCHER_URL", url)
        config = PyFileConfigLoader("jupyterhub_config.py", path=str(PROJECT / "examples")).load_config()
        assert config.JupyterHub.spawner_class == "slipway"
        assert set(config.SlipwaySpawner) <= set(Settings.class_trait_names(config=True))
        spawner = SlipwaySpawner(config=config)
        assert spawner.launcher_url == (url or "unix:///run/slipway/launcher.sock")
