"""duologue: a laboratory for conversations between language models."""
