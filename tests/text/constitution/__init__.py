"""Tests of the lesson on constitutions."""
