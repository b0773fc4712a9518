"""The messages between daemons: *.proto and the code `make proto` generates from them, nothing else."""
