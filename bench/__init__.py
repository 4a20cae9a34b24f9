"""Measurements, each against a floor taken in the same run: `make bench`."""
