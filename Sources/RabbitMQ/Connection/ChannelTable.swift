/// The open channels of a connection, by number.
///
/// Looked up for each frame, so it is an array and not a dictionary.
struct ChannelTable {
    /// The largest number; RabbitMQ's default `channel_max`.
    static let lastNumber: UInt16 = 2047
    /// How many channels consumers leave to publishes and requests.
    private static let reserved: UInt16 = 3

    private var channels: [ChannelState?] = []

    init() {}

    /// The channel with a number; `nil` if none is open.
    subscript(number: UInt16) -> ChannelState? {
        get { Int(number) < channels.count ? channels[Int(number)] : nil }
        set {
            while channels.count <= Int(number) { channels.append(nil) }
            channels[Int(number)] = newValue
        }
    }

    /// All open channels.
    var open: [ChannelState] { channels.compactMap(\.self) }

    /// The lowest number that isn't in use; `nil` if all are.
    func freeNumber(forConsumer: Bool) -> UInt16? {
        (1...(Self.lastNumber - (forConsumer ? Self.reserved : 0))).first { self[$0] == nil }
    }

    /// Takes a channel out.
    mutating func remove(_ number: UInt16) -> ChannelState? {
        defer { if self[number] != nil { self[number] = nil } }
        return self[number]
    }
}
