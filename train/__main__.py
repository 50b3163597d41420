"""``python -m train`` is ``qfl``."""

import sys

from train.cli import main

sys.exit(main())
