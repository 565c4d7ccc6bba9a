"""``python -m headtail``: the command line."""

import sys

from headtail.cli import main

sys.exit(main())
