"""The worker's parts: it claims runs, trains them in a child process, measures, and records."""

# How a forkserver learns whose child it must be; set by the worker before it starts one.
WORKER_PID_VARIABLE = "WATTLE_WORKER_PID"
# How a worker learns which supervisor it must not outlive.
SUPERVISOR_PID_VARIABLE = "WATTLE_SUPERVISOR_PID"
