"""The cloud API, self-hosted."""
