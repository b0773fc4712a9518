"""`python -m tellerline`: the `tellerline` command, for an interpreter whose scripts are not on the path."""

from tellerline.cli.main import main

main()
