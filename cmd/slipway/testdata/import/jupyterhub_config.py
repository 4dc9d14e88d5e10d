"""The configuration of a small hub."""

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "kubespawner"
c.KubeSpawner.image = "registry.example.org/course:1"
c.KubeSpawner.mem_limit = "2G"
c.KubeSpawner.uid = lambda spawner: 1000 + spawner.user.id
c.KubeSpawner.volumes.append({"name": "scratch", "empty_dir": {}})
c.KubeSpawner.profile_list = [
    {"display_name": size, "kubespawner_override": {"cpu_limit": cpus}} for size, cpus in [("Small", 1), ("Large", 4.5)]
]


def modify(_spawner, pod):
    """Give users time to save."""
    pod.spec.termination_grace_period_seconds = 30
    return pod


c.KubeSpawner.modify_pod_hook = modify
print("loaded")
