"""``python -m meshkit.cli`` is the `meshkit` command."""

from meshkit.cli.main import main

main()
