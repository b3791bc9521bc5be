"""What crosses a wire, as pydantic models."""
