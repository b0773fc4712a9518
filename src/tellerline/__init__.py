"""Tellerline: a bank's telephone teller in a box."""

from tellerline.settings import quiet_environment

quiet_environment()
