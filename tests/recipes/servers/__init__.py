"""Servers of a few lines, on a library of the protocol or made for these tests."""
