/// A queue of one broker; a queue declared anew under an old name is another.
struct QueueID: Hashable, Sendable { var number: Int }

/// A channel of one broker: of one consumer, or of a connection's gets.
struct ChannelID: Hashable, Sendable { var number: Int }

/// A connection to one broker.
struct ConnectionID: Hashable, Sendable { var number: Int }
