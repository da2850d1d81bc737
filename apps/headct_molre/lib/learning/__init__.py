"""Training from corrections: jobs, the process that each runs in, and what comes of it."""
