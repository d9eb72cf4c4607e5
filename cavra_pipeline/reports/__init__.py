"""Reports that are kept: one for each kind, lane and UTC day. What they say is computed elsewhere."""
