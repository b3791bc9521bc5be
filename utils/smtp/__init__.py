"""Mail: rendered from templates, and sent over SMTP."""
