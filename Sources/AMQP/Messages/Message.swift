/// A message: its properties and its body.
public struct Message: Sendable, Hashable {
    /// The largest body that every supported RabbitMQ accepts, in bytes: 16 MiB, the default `max_message_size` since
    /// 4.0.
    public static let maximumBodySize = 16 * 1024 * 1024

    /// The properties, which are sent in the content header.
    public var properties: BasicProperties
    /// The payload, which is opaque to client and broker.
    public var body: [UInt8]

    /// A message with these properties and this body.
    public init(properties: BasicProperties = BasicProperties(), body: [UInt8]) {
        self.properties = properties
        self.body = body
    }

    /// A message whose body is this text, as UTF-8.
    ///
    /// Neither a content type nor an encoding is sent.
    public init(_ text: String) { self.init(body: Array(text.utf8)) }

    /// A message whose body has these bytes, as those of Foundation's `Data`.
    public init(_ bytes: some Sequence<UInt8>) { self.init(body: Array(bytes)) }

    /// A message whose body has these bytes.
    public init(_ bytes: borrowing Span<UInt8>) {
        self.init(body: [])
        body.reserveCapacity(bytes.count)
        for index in bytes.indices { body.append(bytes[index]) }
    }

    /// The body as text; `nil` if it isn't UTF-8.
    public var text: String? { String(validating: body, as: UTF8.self) }
}
