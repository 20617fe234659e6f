"""`python -m stilts`."""

from stilts.cli import main

main()
