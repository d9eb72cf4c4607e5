"""What executives read: open recoveries, the escalation plan, the executive report, its pages. Nothing is sent."""
