"""The migrations, one a change of the schema."""
