"""Reports as of an instant: retry plans and retry health; those saved for each kind, lane and UTC day."""
