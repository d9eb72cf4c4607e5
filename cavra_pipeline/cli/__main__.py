"""Starts the command line as `python -m cavra_pipeline.cli`, without the script that an installation makes."""

from cavra_pipeline.cli import main

main()
