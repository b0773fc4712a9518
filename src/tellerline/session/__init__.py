"""Calls, turns and audit in Postgres; live calls and conversation context in Redis."""
