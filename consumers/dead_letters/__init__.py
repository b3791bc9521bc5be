"""Dead letters: their headers, what operators may see of them, and how they are put back."""
