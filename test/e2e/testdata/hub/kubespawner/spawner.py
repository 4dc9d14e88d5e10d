# Servers by the real KubeSpawner.
c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
# As a hub has it that began with KubeSpawner 6 or older: its homes have names that today's scheme gives nobody.
c.KubeSpawner.slug_scheme = "escape"
c.KubeSpawner.image = "slipway.test/singleuser:e2e"
c.KubeSpawner.uid = 1000
c.KubeSpawner.fs_gid = 100
c.KubeSpawner.mem_limit = "512M"
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_class = ""
c.KubeSpawner.storage_capacity = "1Gi"
c.KubeSpawner.volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}]
c.KubeSpawner.volume_mounts = [{"name": "home", "mountPath": "/home/jovyan"}]
c.KubeSpawner.start_timeout = 120
# The line by which a hub is governed before it switches over: our launcher sees its servers by it.
c.KubeSpawner.extra_labels = {"slipway.dev/hub": "main"}
