"""Benchmarks: funcgrad and every installed peer, in turn, in one run."""
