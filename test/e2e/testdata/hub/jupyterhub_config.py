# The hub's configuration but for the spawner, which spawner.py beside it configures. There are no names in the network
# of the cluster: what a Service is reached by is in the environment.
import os

c = get_config()  # noqa: F821

c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = f"http://{os.environ['HUB_SERVICE_HOST']}:8081"
c.JupyterHub.db_url = "sqlite:////srv/hub/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "/srv/hub/cookie_secret"  # noqa: S105 - a path
# Servers, and who is logged in, outlive the hub.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
# Nobody's server starts because he logs in.
c.JupyterHub.default_url = "/hub/home"

c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://{os.environ['PROXY_API_SERVICE_HOST']}:8001"

c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"root"}
c.JupyterHub.load_groups = {"staff": {"users": ["alice"]}, "students": {"users": ["bob"]}}

load_subconfig("/etc/jupyterhub/spawner.py")  # noqa: F821
