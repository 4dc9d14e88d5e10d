"""Internal TLS: the hub makes a certificate before there is a server, for the name that policy is going to give it."""

import asyncio
import base64
import ssl

from cryptography import x509
from jupyterhub import orm
from jupyterhub.utils import exponential_backoff
from tornado import httpserver, web
from world import Notebook

POLICY = """
apiVersion: slipway.dev/v1alpha1
kind: SpawnPolicy
metadata: {name: tls, namespace: research}
spec:
  # A real one would be {name}.{namespace}.svc.cluster.local, which has no address here.
  enforced: {internalSsl: true, dnsNameTemplate: localhost}
"""


async def certificates(launcher, token):
    """Give the files of the Secret that belongs to the server with the token."""
    for secret in await launcher.objects("secrets"):
        data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        if data["JUPYTERHUB_API_TOKEN"] == token:
            return data
    return None


async def test_server_is_believed_by_the_certificate_that_went_into_its_secret(open_hub, launcher, tmp_path):
    await launcher.stop()
    launcher.put("tls.yaml", POLICY)
    await launcher.start()
    await launcher.silence()
    own = {"internal_ssl": True, "internal_certs_location": str(tmp_path / "certificates")}
    async with open_hub(JupyterHub=own) as hub:
        alice = hub.users[hub.db.query(orm.User).filter_by(name="alice").one()]
        spawn = asyncio.ensure_future(alice.spawn(options={"profile": "small"}))

        async def files():
            return alice.spawner.api_token and await certificates(launcher, alice.spawner.api_token)

        got = await exponential_backoff(files, "no Secret", timeout=20)
        for name in ("ssl.key", "ssl.crt", "notebooks-ca_trust.crt"):
            (tmp_path / name).write_text(got[name])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "notebooks-ca_trust.crt")
        context.verify_mode = ssl.CERT_REQUIRED  # nobody but the hub and its proxy
        context.load_cert_chain(tmp_path / "ssl.crt", tmp_path / "ssl.key")
        server = httpserver.HTTPServer(web.Application([(r"/user/.*", Notebook)]), ssl_options=context)
        server.listen(launcher.port, address="127.0.0.1")

        await spawn

        assert alice.spawner.server.url == f"https://localhost:{launcher.port}/user/alice/"
        certificate = x509.load_pem_x509_certificate(got["ssl.crt"].encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(names) == [x509.DNSName("localhost")]
        # Where they are in the hub's own file system isn't for the pod.
        (pod,) = await launcher.objects("pods")
        variables = {v["name"]: v.get("value") for v in pod["spec"]["containers"][0]["env"]}
        assert variables["JUPYTERHUB_SSL_KEYFILE"] == "/etc/jupyterhub/ssl/ssl.key"
        assert "JUPYTERHUB_SSL_KEYFILE" not in got
        server.stop()
