"""When to run: pure functions from a forecast to a decision or a plan. The deadline always wins."""
