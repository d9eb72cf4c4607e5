"""Why one delivery waits, and what happens to a lane if nothing changes. Provider incidents are a report."""
