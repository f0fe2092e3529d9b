"""`python -m batch_updater`: the program."""

from batch_updater.cli.main import main

main()
