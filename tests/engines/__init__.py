"""Fleets on the real engines that people have."""
