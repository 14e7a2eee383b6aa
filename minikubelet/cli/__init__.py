"""The command line: kubectl's commands, and a few of our own, clients of the HTTP API and nothing else."""
