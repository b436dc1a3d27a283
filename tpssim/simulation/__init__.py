"""One run under virtual time: the simpy model, the compiled loop, code that waits by itself."""
