"""The recipes of docs/recipes.md, each against a server of its protocol."""
