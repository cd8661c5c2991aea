"""The terminal console: a Textual app over the manager. Never imports the gateway."""
