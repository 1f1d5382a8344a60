"""Tests of the wire dialect: pure functions, no network."""
