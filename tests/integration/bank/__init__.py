"""The REST adapter and the sandbox bank, over real HTTP."""
