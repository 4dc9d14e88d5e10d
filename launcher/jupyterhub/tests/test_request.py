import pytest
from slipway_spawner import request
from tornado.web import HTTPError


@pytest.mark.parametrize(
    ("user_options", "want"),
    [
        ({}, ("", {})),
        ({"profile": "gpu", "image": "jax"}, ("gpu", {"image": "jax"})),
        # As numbers come over the REST API.
        ({"profile": "gpu", "cards": 2, "share": 0.5, "zero": 0}, ("gpu", {"cards": "2", "share": "0.5", "zero": "0"})),
        ({"profile": None, "image": "", "cards": None}, ("", {})),
        # Policy judges whether there is such an option.
        ({"image--unlisted-choice": "x"}, ("", {"image--unlisted-choice": "x"})),
    ],
)
def test_choice(user_options, want):
    assert request.choice(user_options) == want


@pytest.mark.parametrize("value", [["a"], {"a": 1}, True, b"a"])
def test_choice_that_is_no_text_is_refused(value):
    with pytest.raises(HTTPError) as refused:
        request.choice({"image": value})
    assert refused.value.status_code == 400
    assert refused.value.jupyterhub_message == "The option 'image' has to be a text"


def test_environment_leaves_out_what_policy_computes():
    got = request.environment(
        {"JUPYTERHUB_API_TOKEN": "t", "MEM_LIMIT": "1", "JUPYTERHUB_SSL_KEYFILE": "/hub/key", "N": 1, "NONE": None}
    )
    assert got == {"JUPYTERHUB_API_TOKEN": "t", "N": "1"}


def test_environment_that_refers_to_the_cluster_is_refused_without_its_value():
    with pytest.raises(HTTPError) as refused:
        request.environment({"KEY": {"valueFrom": {"secretKeyRef": {"name": "hush", "key": "k"}}}})
    assert "KEY" in refused.value.jupyterhub_message
    assert "hush" not in str(refused.value)


def test_files_of_internal_tls(tmp_path):
    paths = {}
    for key in ("keyfile", "certfile", "cafile"):
        (tmp_path / key).write_text(f"the {key}")
        paths[key] = str(tmp_path / key)
    assert request.files(paths) == {
        "ssl.key": "the keyfile",
        "ssl.crt": "the certfile",
        "notebooks-ca_trust.crt": "the cafile",
    }
    assert request.files({}) == {}
