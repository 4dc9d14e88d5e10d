import os
from pathlib import Path

import pytest
from slipway_spawner import form
from slipway_spawner.answers import Profile

GOLDENS = Path(__file__).parent / "testdata" / "form"

# As the launcher writes them.
SMALL = {"slug": "small", "displayName": "Small", "description": "One core, for reading & writing", "default": True}
GPU = {
    "slug": "gpu",
    "displayName": "GPU",
    "options": [
        {
            "name": "image",
            "displayName": "Image",
            "choices": [
                {"name": "pytorch", "displayName": "PyTorch"},
                {"name": "jax", "displayName": "JAX", "default": True},
            ],
            "unlistedChoice": {
                "displayName": "Your own image",
                "displayNameInChoices": "Something else",
                "validationRegex": 'quay\\.io/"team"/.+',
                "validationMessage": "An image of the team's",
            },
        },
        {"name": "cards", "displayName": "Cards", "choices": [{"name": "1", "displayName": "One"}]},
        {"name": "ticket", "displayName": "Ticket", "unlistedChoice": {}},
    ],
}
HOSTILE = {
    "slug": '"><script>alert(1)</script>',
    "displayName": "<b>{{ 7 * 7 }}</b>",
    "description": "</p><script>alert(2)</script>",
    "options": [{"name": "a' onclick='alert(3)", "displayName": "<i>", "choices": [{"name": '"', "displayName": "<"}]}],
}

FORMS = {
    "first-time": ([SMALL, GPU], {}),
    "chosen-before": ([SMALL, GPU], {"profile": "gpu", "image": "pytorch", "cards": "9"}),
    "typed-before": ([SMALL, GPU], {"profile": "gpu", "image--unlisted-choice": 'x"><script>', "ticket": "7"}),
    "hostile": ([HOSTILE], {}),
}


def render(profiles, user_options):
    return form.render([Profile.read(p) for p in profiles], user_options)


def without_frame(page):
    """Give the fields alone: style and script are the same in each form."""
    return page[page.index("<fieldset") : page.index("<script>\n  //")]


@pytest.mark.parametrize("name", FORMS)
def test_form_is_the_golden_one(name):
    got = without_frame(render(*FORMS[name]))
    golden = GOLDENS / f"{name}.html"
    if os.environ.get("UPDATE_GOLDENS"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(got)
    assert got == golden.read_text(), "UPDATE_GOLDENS=1 writes it anew"


def test_nothing_to_choose_is_no_form():
    assert render([], {"profile": "gpu"}) == ""


@pytest.mark.parametrize(
    "saved",
    [{"profile": "gone", "image": "pytorch"}, {"profile": ["gpu"]}, {"image": "jax"}, {"profile": None}],
)
def test_what_is_not_offered_any_more_is_not_chosen(saved):
    assert render([SMALL, GPU], saved) == render([SMALL, GPU], {})


def test_exactly_one_profile_is_chosen_where_policy_names_no_default():
    page = render([{**SMALL, "default": False}, GPU], {})
    assert page.count(" checked>") == 1
    assert 'value="small" aria-describedby="profile-item-small-description" checked>' in page


def test_no_text_of_policy_or_user_becomes_markup():
    page = render([HOSTILE], {"profile": HOSTILE["slug"]})
    assert "alert(" in page
    assert page.count("<script>") == 1
    assert "<b>" not in page
    assert "onclick='" not in page


@pytest.mark.parametrize(
    ("data", "want"),
    [
        ({}, {}),
        ({"profile": []}, {}),
        ({"profile": [""], "profile-option-a--x": ["1"]}, {}),
        ({"profile": ["a"], "_xsrf": ["t"]}, {"profile": "a"}),
        # Only the chosen profile's options count, and the first value of each.
        (
            {"profile": ["a", "b"], "profile-option-a--x": ["1", "2"], "profile-option-b--y": ["3"]},
            {"profile": "a", "x": "1"},
        ),
        (
            {
                "profile": ["a"],
                "profile-option-a--x": ["unlisted-choice"],
                "profile-option-a--x--unlisted-choice": ["u"],
            },
            {"profile": "a", "x--unlisted-choice": "u"},
        ),
        (
            {"profile": ["a"], "profile-option-a--x": ["1"], "profile-option-a--x--unlisted-choice": [""]},
            {"profile": "a", "x": "1"},
        ),
        # An option can't replace the profile.
        ({"profile": ["a"], "profile-option-a--profile": ["evil"], "profile-option-a--": ["x"]}, {"profile": "a"}),
        ({"profile": ["a"], "profile-option-a--b--c": ["1"]}, {"profile": "a", "b--c": "1"}),
        ({"profile": ["a"], "profile-option-a--x": []}, {"profile": "a"}),
    ],
)
def test_form_is_read_as_kubespawner_reads_it(data, want):
    assert form.options_from_form(data) == want


def test_kubespawner_itself_reads_what_a_browser_sends_alike(kubespawner):
    for data in (
        {"profile": ["gpu"], "profile-option-gpu--image": ["jax"], "profile-option-gpu--cards": ["1"]},
        {"profile": ["gpu"], "profile-option-gpu--image--unlisted-choice": ["quay.io/x"]},
        {"profile": ["small"]},
        {},
    ):
        assert form.options_from_form(data) == kubespawner().options_from_form(data)
