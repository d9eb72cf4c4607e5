"""Evidence that can be proven: trees, segments, the commit log, checkpoints. Verification is in ``verify``."""
