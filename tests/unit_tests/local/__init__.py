"""Tests of the embedded workspace."""
