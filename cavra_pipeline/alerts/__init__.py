"""The life cycle of alerts: from what a sensor found to its resolved notification. Nothing here looks for trouble."""
