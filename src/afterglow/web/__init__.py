"""The web edge: pages for people at work. No rules: each page calls a use case and shows what it gives."""
