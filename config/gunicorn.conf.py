"""How `gateway serve` runs. `gateway serve` reads this file as it is shipped; to use an edited copy:

    gunicorn --config gunicorn.conf.py 'gateway.web:create_app()'

(the settings then come from GATEWAY_... and the file that GATEWAY_CONFIG names). Put a buffering proxy, such as the
nginx.conf beside this file, in front of it wherever strangers reach it.
"""

from gateway.serving import READERS, start_background, stop_background
from gateway.settings import load_settings

_settings = load_settings()

# Setting `bind`, `workers`, `threads`: the gateway's settings of the same names. SQLite wants one worker. Requests are
# read in further threads, so that slow clients keep none of the application's.
bind = _settings.bind
workers = _settings.workers
threads = _settings.threads + READERS
loglevel = _settings.log_level.lower()

# Threads, and a request that has not arrived whole within 10 s is dropped.
worker_class = "gateway.serving.DeadlineWorker"
preload_app = False  # each worker opens its own database connections, after the fork

# Carriers keep few connections open and call in bursts.
worker_connections = 1000
backlog = 2048
keepalive = 5  # seconds; Carriers reconnect at no cost to a call

# A worker whose main loop stands still this long is replaced; it is no limit of a request.
timeout = 60
# On SIGTERM: no new connection, and this long for what is under way (a dial takes at most 15 s).
graceful_timeout = 30

# The largest request lines and headers that carriers send are far below these; bodies are capped by
# `max_webhook_bytes`.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# Paths carry tokens, so there is no access log.
accesslog = None
errorlog = "-"

# Nothing of ours uses gunicorn's control socket: one door less. (gunicorn 27; unknown and ignored before.)
control_socket_disable = True

# The sweeper and follow-up commands run in each worker; of all workers one sweeps at a time.
post_worker_init = start_background


def worker_exit(server, worker):
    """Stop what `post_worker_init` started."""
    stop_background(worker)
