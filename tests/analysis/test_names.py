"""A function and its module may have one name, but never in one package."""

import importlib
import inspect
import pkgutil

import pytest

import kerasrnn
import kerasrnn.analysis

MODULES = [module.name for module in pkgutil.iter_modules(kerasrnn.analysis.__path__)]


@pytest.mark.parametrize("module", MODULES)
def test_the_import_of_a_module_replaces_no_public_name(module):
    before = dict(vars(kerasrnn))
    imported = importlib.import_module(f"kerasrnn.analysis.{module}")
    assert getattr(kerasrnn.analysis, module) is imported
    assert dict(vars(kerasrnn)) == before


@pytest.mark.parametrize("name", ["exposure_bias", "gradient_flow", "state_jacobian"])
def test_functions_are_functions(name):
    assert inspect.isfunction(getattr(kerasrnn, name))
    assert inspect.ismodule(importlib.import_module(f"kerasrnn.analysis.{name}"))
