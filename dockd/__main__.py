"""``python -m dockd`` is ``dockd``."""

from dockd.cli.main import main

main()
