"""What walks through the whole story: a server, and a person at the panel."""
