"""The life cycle of alerts: from what a sensor found to the notice that it is over. Nothing here looks for trouble."""
