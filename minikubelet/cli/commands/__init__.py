"""One module per command or family of commands; `cli.main` imports only the one that was asked for."""
