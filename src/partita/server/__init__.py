"""HTTP over store and engine, by noun; who may; the stream; the built UI."""
