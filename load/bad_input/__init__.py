"""Bad input at every door: what is sent, how it is played, and what must hold afterwards."""
