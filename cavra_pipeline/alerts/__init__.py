"""The life cycle of alerts: from what a sensor found to its resolved notice. Nothing here looks for trouble."""
