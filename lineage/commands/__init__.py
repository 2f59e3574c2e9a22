"""What people ask of a running campaign: definitions, validation, outcome."""
