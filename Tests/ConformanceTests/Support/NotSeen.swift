/// A case gave up waiting; what for is an issue already.
struct NotSeen: Error {}
