"""A sign-in page in front of signin-worker: an example of the service that emits its events and reads its results."""
