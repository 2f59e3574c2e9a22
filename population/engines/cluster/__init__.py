"""The `ray` engine: models are made and put to work by processes of a Ray cluster."""
