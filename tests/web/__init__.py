"""The example of a sign-in page, as its unit tests and a real browser see it."""
