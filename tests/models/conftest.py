"""Models that the tests of this folder share: to make one takes longer than to ask it."""

import pytest

from tests.small_models import LANGUAGE_MODELS, make_language_model


@pytest.fixture(scope="session")
def language_models():
    return {name: make_language_model(**options) for name, options in LANGUAGE_MODELS.items()}


@pytest.fixture(scope="session")
def model(language_models):
    return language_models["deep"]
