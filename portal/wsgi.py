"""What a WSGI server serves: the portal, made once in each of its processes.

granian --interface wsgi portal.wsgi:app
"""

import gc
import sys

from portal import create_app, logs
from portal.config import Config, ConfigProblem

try:
    config = Config.from_env()
    logs.begin(config.LOG_FORMAT)
    app = create_app(config)
except ConfigProblem as problem:
    sys.exit(f"sendwright: {problem}")

# What the start made lives as long as the process: collecting it again and again was most of the
# slowest answers' time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
