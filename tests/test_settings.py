"""Profiles: who decides, and what happens to a wrong name."""

import pytest

from utils.settings import PROFILES, RECIPES, load_settings


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_runs_the_one_cycle_schedule(profile):
    settings = load_settings(profile, environ={})
    assert settings.profile == profile
    assert settings.recipe.schedule == "one_cycle"
    assert settings.full_recipe == (profile == "full")


def test_full_profile_is_the_recipe_itself():
    settings = load_settings("full", environ={})
    assert settings.recipe == RECIPES["one-cycle"] and settings.recipe.depth == 56
    assert settings.train_images is None and settings.test_images is None


def test_argument_goes_before_environment_and_that_before_the_default():
    environ = {"ASSIGNMENT_PROFILE": "Smoke", "ASSIGNMENT_DATA": "shapes"}
    assert load_settings("quick", "cifar10", environ=environ).profile == "quick"
    assert load_settings("quick", "cifar10", environ=environ).data == "cifar10"
    assert load_settings("", "", environ=environ).profile == "smoke"
    assert load_settings("", "", environ=environ).data == "shapes"
    assert load_settings(environ={}).profile == "quick"
    assert load_settings(environ={}, on_gpu=True).profile == "full"
    assert load_settings(environ={}).data == "auto"


def test_blanks_and_quotes_are_empty_and_paths_are_cleaned(tmp_path):
    environ = {"ASSIGNMENT_PROFILE": "'smoke' ", "ASSIGNMENT_DATA": f'"{tmp_path}"\n'}
    settings = load_settings(" ", '""', environ=environ)
    assert (settings.profile, settings.data) == ("smoke", str(tmp_path))
    assert load_settings(data=tmp_path, environ={}).data == str(tmp_path)
    assert load_settings(" ", " ", environ={"ASSIGNMENT_DATA": " "}).data == "auto"


def test_unknown_profile_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'fast'.*full, quick, smoke.*ASSIGNMENT_PROFILE"):
        load_settings("fast", environ={})
