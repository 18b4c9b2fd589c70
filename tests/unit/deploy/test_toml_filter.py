"""TOML that the Ansible role writes reads back unchanged."""

import importlib.util
import tomllib
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

PLUGIN = Path(__file__).parents[3] / "deploy/ansible/roles/coordinator/filter_plugins/toml.py"
_spec = importlib.util.spec_from_file_location("toml_filter", PLUGIN)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
to_toml = _module.FilterModule().filters()["to_toml"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(st.dictionaries(texts, values))
def test_a_document_reads_back_unchanged(document):
    assert tomllib.loads(to_toml(document)) == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"phases": [{"rate": 1}, {"rate": None}]},
            r"`phases\[1\]\.rate` is None, which TOML can't express",
        ),
        (["rate"], "is no table"),
    ],
)
def test_a_value_that_toml_cannot_express_is_refused_with_its_key(document, message):
    with pytest.raises(AnsibleFilterError, match=message):
        to_toml(document)
