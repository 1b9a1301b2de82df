"""The machines a Worker runs on: clock, ids, tasks, the internet, logs."""
