"""Into an instance: its shell, console, logs, files and properties. The terminal parts import no Textual."""
