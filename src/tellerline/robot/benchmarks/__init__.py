"""Benchmarks: what `tellerline bench` measures, each with its budgets."""
