"""The form in which a user chooses a profile, and what it sends, both as KubeSpawner has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader

from .answers import Option, Profile

# The choice of a value that the user types, in place of a choice's name; and what is added to the option's name.
UNLISTED = "unlisted-choice"
UNLISTED_SUFFIX = "--" + UNLISTED

_templates = Environment(loader=PackageLoader("slipway_spawner"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def render(profiles: Sequence[Profile], user_options: Mapping[str, Any]) -> str:
    """Give the form as HTML; empty where there is nothing to choose. What the user took last time is chosen already."""
    if not profiles:
        return ""
    slugs = [p.slug for p in profiles]
    chosen = user_options.get("profile")
    if chosen not in slugs:  # never saved, or not offered any more
        user_options = {}
        chosen = next((p.slug for p in profiles if p.default), slugs[0])
    shown = [
        {
            "profile": p,
            "checked": p.slug == chosen,
            "options": [_shown(o, user_options if p.slug == chosen else {}) for o in p.options],
        }
        for p in profiles
    ]
    return _templates.get_template("form.html").render(shown=shown, unlisted=UNLISTED, suffix=UNLISTED_SUFFIX)


def _shown(option: Option, user_options: Mapping[str, Any]) -> dict[str, Any]:
    """Give an option with the choice that is selected, and the text that is typed in already."""
    typed = user_options.get(option.name + UNLISTED_SUFFIX) if option.unlisted else None
    names = [c.name for c in option.choices]
    selected = user_options.get(option.name)
    if isinstance(typed, str) and typed:
        selected = UNLISTED
    else:
        typed = ""
        if selected not in names:
            selected = next((c.name for c in option.choices if c.default), names[0] if names else UNLISTED)
    return {"option": option, "selected": selected, "typed": typed}


def options_from_form(form: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Read a form: {profile: SLUG, OPTION: CHOICE, OPTION--unlisted-choice: TEXT}, without other profiles' options."""
    profile = _first(form, "profile")
    if not profile:
        return {}
    prefix = f"profile-option-{profile}--"
    options = {key[len(prefix) :]: _first(form, key) for key in form if key.startswith(prefix)}
    # A page without JavaScript sends the list's entry for "something else" along with the text.
    chosen = {k: v for k, v in options.items() if k and k != "profile" and v and v != UNLISTED}
    return {"profile": profile, **chosen}


def _first(form: Mapping[str, Sequence[Any]], key: str) -> Any:
    values = form.get(key) or [""]
    return values[0]
