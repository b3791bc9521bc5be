"""Dead letters as operators see them: headers, listing, masking, replay."""
