"""The built wheel, as a stranger has it: `pytest tests/wheel`."""
