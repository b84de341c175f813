"""`python -m emgait_ros` is the `emgait` command."""

import sys

from emgait_ros.cli.main import main

sys.exit(main())
