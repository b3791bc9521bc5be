"""What a release needs to know: its version, its notes, its tags, and the contract of the release before."""
