"""What may pass of one record (contract section 3): the declared table of kinds, formats, secrets and the judge."""
