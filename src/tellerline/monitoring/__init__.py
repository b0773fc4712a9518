"""Metrics, health and notifications of the daemons."""
