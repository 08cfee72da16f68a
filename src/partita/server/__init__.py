"""HTTP over store and engine, by noun. Nothing is imported here: the command line reads `server.objects` alone."""
